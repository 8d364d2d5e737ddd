"""
A market order as most Django projects would write it: a serializer, one transaction, a row lock, the ORM.

It is no straw man: authentication, throttle, middleware, price views and the decision itself (the account
book) are those of RTX; rows and checks are the same. It lacks only what the executor adds: batches, kept
books, bulk statements. It may import from the apps whatever it likes; nothing may import it.
"""

from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import AccountEvent, AccountState, LedgerLine, TradingAccount
from apps.groups.domain.terms import PositionMode
from apps.trading import models
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import Outcome, PlaceMarket, order_command_id
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import ContractTerms, Deal, Order, Position, Side
from apps.trading.selectors.markets import Markets, markets
from apps.trading.services.orders import MarketOrder, market_command
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.clock import from_ms
from rtx.kernel.errors import Conflict, NotFound

TICKETS_PER_ORDER = 3  # order, deal, position


class MarketOrderSerializer(serializers.Serializer[Any]):
    """The request's form."""

    account = serializers.IntegerField()
    symbol = serializers.CharField(max_length=32)
    side = serializers.ChoiceField(choices=["buy", "sell"])
    volume = serializers.DecimalField(max_digits=28, decimal_places=12, min_value=Decimal("1e-12"))
    client_order_id = serializers.RegexField(r"^[\x21-\x7e]+$", max_length=64)
    price = serializers.DecimalField(
        max_digits=28, decimal_places=12, min_value=Decimal("1e-12"), required=False, default=None
    )
    deviation = serializers.IntegerField(min_value=0, max_value=1_000_000, required=False, default=None)
    stop_loss = serializers.DecimalField(
        max_digits=28, decimal_places=12, min_value=Decimal("1e-12"), required=False, default=None
    )
    take_profit = serializers.DecimalField(
        max_digits=28, decimal_places=12, min_value=Decimal("1e-12"), required=False, default=None
    )
    comment = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)


class MarketOrderView(APIView):
    """Place a market order, one transaction each."""

    parser_classes = [JSONParser]
    renderer_classes = [JSONRenderer]

    def post(self, request: Request) -> Response:
        """Place a market order."""
        serializer = MarketOrderSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        login, side = values.pop("account"), Side(values.pop("side"))
        account = TradingAccount.objects.filter(login=login, client__user_id=request.user.pk).first()
        if account is None:
            raise NotFound("There is no such account.", code="account_not_found")
        command = market_command(
            account_id=account.pk, order=MarketOrder(side=side, **values), actor=Actor.of(request)
        )
        with transaction.atomic():
            payload = self._place(account, command)
        return Response({"account": login, **payload["order"]}, status=201)

    def _place(self, account: TradingAccount, command: PlaceMarket) -> dict[str, Any]:
        state = AccountState.objects.select_for_update().get(account=account)
        command_id = order_command_id(account_id=account.pk, client_order_id=command.client_order_id)
        before = AccountEvent.objects.filter(command_id=command_id).first()
        if before is not None:
            if before.fingerprint != command.fingerprint:
                raise Conflict("This id already names another request.", code="client_order_id_reused")
            return before.payload
        views = markets(now=clock.now())
        stored = {
            row.pk: row for row in models.Position.objects.filter(account=account).select_related("symbol")
        }
        book = AccountBook(
            account=_account(account, state),
            positions=[_position(row) for row in stored.values()],
            tickets=iter(_tickets()),
        )
        outcome = book.apply(command, market=views.of_group(account.group_id), now=views.now)
        _save(account, state, command, outcome, book, stored, views)
        return outcome.payload


def _tickets() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('trading_ticket') FROM generate_series(1, %s)", [TICKETS_PER_ORDER])
        return [row[0] for row in cursor.fetchall()]


def _account(account: TradingAccount, state: AccountState) -> Account:
    return Account(
        id=account.pk,
        login=account.login,
        group_id=account.group_id,
        currency=account.currency,
        position_mode=PositionMode(account.position_mode),
        leverage=account.leverage,
        status=account.status,
        balance=state.balance,
        credit=state.credit,
        margin=state.margin,
        seq=state.seq,
    )


def _position(row: models.Position) -> Position:
    return Position(
        id=row.pk,
        symbol=row.symbol.name,
        side=Side(row.side),
        volume=row.volume,
        cost=row.cost,
        margin_rate=row.margin_rate,
        terms=ContractTerms.decoded(row.terms),
        book=row.book,
        last_deal_id=row.last_deal_id,
        opened_at=row.opened_at,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        trailing_points=row.trailing_points,
        swap=row.swap,
        commission=row.commission,
    )


def _save(
    account: TradingAccount,
    state: AccountState,
    command: PlaceMarket,
    outcome: Outcome,
    book: AccountBook,
    stored: dict[int, models.Position],
    views: Markets,
) -> None:
    event = AccountEvent.objects.create(
        account=account,
        seq=outcome.seq,
        type=outcome.type,
        at=views.now,
        command_id=command.command_id,
        fingerprint=command.fingerprint,
        actor=command.actor.as_text(),
        request_id=command.actor.request_id,
        payload=outcome.payload,
    )
    LedgerLine.objects.bulk_create(
        LedgerLine(
            event=event,
            account=account,
            ledger=line.ledger.value,
            amount=line.amount,
            currency=account.currency,
            at=views.now,
        )
        for line in outcome.lines
    )
    if outcome.order is not None:
        symbol_id = views.book.symbols[outcome.order.symbol].id
        _save_order(account, outcome.order, symbol_id)
        for deal in outcome.order.deals:
            _save_deal(account, deal, symbol_id)
    for position_id in book.touched:
        _save_position(account, book.positions.get(position_id), stored.get(position_id), views)
    state.balance, state.credit, state.margin = book.account.balance, book.account.credit, book.account.margin
    state.seq, state.updated_at = book.account.seq, views.now
    state.save()


def _save_order(account: TradingAccount, order: Order, symbol_id: int) -> None:
    models.Order.objects.create(
        id=order.id,
        account=account,
        symbol_id=symbol_id,
        client_order_id=order.client_order_id,
        side=order.side.value,
        type=order.type,
        status=order.status.value,
        volume=order.volume,
        filled_volume=order.filled_volume,
        price=order.price,
        average_price=order.average_price,
        deviation=order.deviation,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        reject_reason=order.reject_reason.value if order.reject_reason else "",
        position_id=order.position_id,
        comment=order.comment,
        created_at=order.created_at,
        updated_at=order.created_at,
    )


def _save_deal(account: TradingAccount, deal: Deal, symbol_id: int) -> None:
    models.Deal.objects.create(
        id=deal.id,
        order_id=deal.order_id,
        account=account,
        symbol_id=symbol_id,
        position_id=deal.position_id,
        entry=deal.entry.value,
        side=deal.side.value,
        volume=deal.volume,
        price=deal.price,
        profit=deal.profit,
        commission=deal.commission,
        swap=deal.swap,
        markup=deal.markup,
        raw_bid=deal.raw_bid,
        raw_ask=deal.raw_ask,
        client_bid=deal.client_bid,
        client_ask=deal.client_ask,
        quote_at=from_ms(deal.quote_time_ms),
        profit_rate=deal.profit_rate,
        margin_rate=deal.margin_rate,
        rule=deal.rule,
        terms_version=deal.terms_version,
        book=deal.book,
        created_at=deal.at,
    )


def _save_position(
    account: TradingAccount, position: Position | None, stored: models.Position | None, views: Markets
) -> None:
    if position is None:
        if stored is not None:
            stored.delete()
        return
    row = stored or models.Position(
        id=position.id,
        account=account,
        symbol_id=views.book.symbols[position.symbol].id,
        opened_at=position.opened_at,
    )
    row.side = position.side.value
    row.volume = position.volume
    row.cost = position.cost
    row.open_price = position.open_price
    row.margin_rate = position.margin_rate
    row.terms = position.terms.encoded()
    row.stop_loss, row.take_profit = position.stop_loss, position.take_profit
    row.trailing_points = position.trailing_points
    row.swap, row.commission = position.swap, position.commission
    row.book = position.book
    row.last_deal_id = position.last_deal_id
    row.updated_at = views.now
    row.save(force_insert=stored is None, force_update=stored is not None)
