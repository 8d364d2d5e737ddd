"""
What must hold after the soak, derived from the database and compared with what the traders saw. Each check
returns the differences it found, in words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from apps.accounts.models import AccountEvent, AccountState, TradingAccount
from apps.trading.domain.commands import order_command_id
from apps.trading.domain.orders import TRANSITIONS, OrderStatus
from apps.trading.domain.statements import Period
from apps.trading.models import Order
from apps.trading.selectors import statements
from tests.soak.player import Player

STATEMENTS = 20
OWN = "#"  # begins the client_order_ids that the broker gives

Differences = list[str]


def streams(players: Iterable[Player]) -> Differences:
    """Every account stream brought every event of its journal once, in order."""
    found = []
    for player in players:
        rows = AccountEvent.objects.filter(account_id=player.seat.account_id).order_by("seq")
        told, heard = list(rows.values_list("seq", "type")), player.record.events
        if told != heard:
            pairs = enumerate(zip(told, heard, strict=False))
            at = next((i for i, (row, event) in pairs if row != event), min(len(told), len(heard)))
            found.append(
                f"account {player.seat.login}: the journal has {len(told)} events, the stream brought "
                f"{len(heard)}; they part after {at}"
            )
    return found


def caught_up(players: Iterable[Player]) -> bool:
    """Say whether every stream has brought its account's last event."""
    seqs = dict(AccountState.objects.values_list("account_id", "seq"))
    return all(
        bool(player.record.events) and player.record.events[-1][0] >= seqs[player.seat.account_id]
        for player in players
    )


def answers(players: Iterable[Player]) -> Differences:
    """Every request was answered once, and none in a way that is a fault of ours."""
    found = []
    faults = {"internal", "invalid", "malformed_json", "malformed", "not_supported", "unknown_op", "500"}
    for player in players:
        record = player.record
        found += [f"account {player.seat.login}: {problem}" for problem in record.problems]
        for op, asked in record.asked.items():
            done = sum(
                count
                for (name, result), count in record.answered.items()
                if name == op and not result.endswith("(asked again)")
            )
            if done != asked:
                found.append(f"account {player.seat.login}: {asked} times {op}, {done} answers")
        bad = [f"{op} -> {result}" for op, result in record.answered if result in faults]
        found += [f"account {player.seat.login}: {one}" for one in bad]
    return found


def ids(players: Iterable[Player]) -> Differences:
    """Every client_order_id that was acknowledged stands for one order and one command; no other exists."""
    found = []
    for player in players:
        account_id, record, login = player.seat.account_id, player.record, player.seat.login
        rows = Order.objects.filter(account_id=account_id).exclude(client_order_id__startswith=OWN)
        stored = dict(rows.values_list("client_order_id", "id"))
        if rows.count() != len(stored):
            found.append(f"account {login}: a client_order_id stands for several orders")
        found += [
            f"account {login}: {name} was answered as order {order_id}, stored is {stored.get(name)}"
            for name, order_id in record.placed.items()
            if stored.get(name) != order_id
        ]
        unknown = set(stored) - set(record.placed)
        found += [f"account {login}: nobody was told of {name}" for name in sorted(unknown)]
        both = record.refused & set(stored)
        found += [f"account {login}: {name} was refused and is stored" for name in sorted(both)]
        commands = [order_command_id(account_id=account_id, client_order_id=name) for name in record.placed]
        journaled = AccountEvent.objects.filter(account_id=account_id, command_id__in=commands).count()
        if journaled != len(commands):
            found.append(f"account {login}: {len(commands)} ids acknowledged, {journaled} in the journal")
    return found


def lives() -> Differences:
    """No order was ever in two states: the journal leads each through the lifecycle to what is stored."""
    found: Differences = []
    last: dict[int, OrderStatus] = {}
    for seq, account_id, order in _orders_told():
        status, known = OrderStatus(order["status"]), last.get(order["id"], OrderStatus.NEW)
        if status not in TRANSITIONS.get(known, frozenset()):
            found.append(f"account id {account_id} event {seq}: order {order['id']} goes {known} -> {status}")
        last[order["id"]] = status
    stored = {pk: OrderStatus(status) for pk, status in Order.objects.values_list("pk", "status")}
    found += [
        f"order {pk} is {stored.get(pk)}, the journal says {last.get(pk)}"
        for pk in stored.keys() | last.keys()
        if stored.get(pk) is not last.get(pk)
    ]
    return found


def _orders_told() -> Iterator[tuple[int, int, dict[str, Any]]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq, account_id, payload::text FROM accounts_accountevent ORDER BY account_id, seq"
        )
        for seq, account_id, raw in cursor.fetchall():
            payload = orjson.loads(raw)
            for order in [payload["order"]] if payload.get("order") else payload.get("orders", ()):
                yield seq, account_id, order


def statements_add_up(players: list[Player], *, since: datetime, until: datetime) -> Differences:
    """The statements of some accounts, whole and in halves, chain; each is compared with the books inside."""
    found = []
    middle = since + (until - since) / 2
    for player in players[:: max(1, len(players) // STATEMENTS)]:
        account = TradingAccount.objects.get(pk=player.seat.account_id)
        whole, first, second = (
            statements.statement(account, period=period, now=until)
            for period in (Period(since, until), Period(since, middle), Period(middle, until))
        )
        if first.closing.money != second.opening or second.closing.money != whole.closing.money:
            found.append(f"account {account.login}: halves do not chain")
        if [deal.id for deal in whole.deals] != [deal.id for deal in first.deals + second.deals]:
            found.append(f"account {account.login}: halves have other deals than the whole")
    return found


def ledger() -> Differences:
    """The lines of the whole house add up to zero."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT currency, sum(amount) FROM accounts_ledgerline GROUP BY currency")
        return [f"{currency}: all lines add up to {total}" for currency, total in cursor.fetchall() if total]


def event_counts() -> Counter[str]:
    """Return how many events of each type the journal has; fills by what set them off."""
    found: Counter[str] = Counter()
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT type, coalesce(payload->'order'->>'reason', ''),
                   coalesce(payload->'order'->'trigger'->>'kind', payload->>'cause', ''), count(*)
            FROM accounts_accountevent GROUP BY 1, 2, 3
        """)
        for type_, reason, kind, count in cursor.fetchall():
            label = f"{type_} ({kind})" if kind and type_ in ("order_filled", "position_modified") else type_
            found[label] += count
            if reason == "stop_out":
                found["stop-outs"] += count
    return found
