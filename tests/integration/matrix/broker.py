"""
The one broker that all cells are asked of: a USD group within the reach of its staff, a EUR group outside,
and a row on either side in every table. Made once per test process, then cloned.
"""

from dataclasses import dataclass, field
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from apps.accounts.models import AccountEvent, Client, TradingAccount, User
from apps.accounts.services import tokens
from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.risk.services import liquidation
from apps.trading.domain.orders import Side as Direction
from apps.trading.models import Position
from rtx.kernel.admin import RtxModelAdmin
from tests.factories.anyrow import make
from tests.factories.house import PASSWORD, SEEDER, buy, make_house, open_account, quote, staff
from tests.factories.staff import token_of
from tests.integration.matrix import declared, surface

SIDES = ("own", "foreign")


@dataclass(frozen=True)
class Side:
    """What lies on one side of the reach of staff."""

    name: str
    group: TradingGroup
    account: TradingAccount

    @property
    def known(self) -> dict[type[Model], Model]:
        """The rows that others refer to."""
        account = self.account
        return {
            TradingGroup: self.group,
            TradingAccount: account,
            Client: account.client,
            User: account.client.user,
            Symbol: Symbol.objects.get(name="EURUSD"),
            TradingSession: TradingSession.objects.get(),
            AccountEvent: account.events.first(),  # type: ignore[dict-item]
            Position: Position.objects.filter(account=account).first(),  # type: ignore[dict-item]
            ContentType: ContentType.objects.get_for_model(TradingGroup),
        }


@dataclass
class Broker:
    """The rows of the tests, read back from a clone."""

    sides: dict[str, Side]
    users: dict[str, User]
    _rows: dict[tuple[str, str], Any] = field(default_factory=dict)

    def row(self, label: str, side: str) -> Any:
        """Return a row of a table within (`own`) or outside (`foreign`) the reach of staff, or None."""
        if (label, side) not in self._rows:
            self._rows[label, side] = self._find(surface.registry()[label], side)
        return self._rows[label, side]

    def _find(self, page: Any, side: str) -> Any:
        rows = page.model._default_manager.order_by("pk")
        limit = getattr(page, "reach_path", "")
        if limit:
            within = self.within(page, rows)
            rows = rows.filter(pk__in=within) if side == "own" else rows.exclude(pk__in=within)
        return rows.first()

    def within(self, page: RtxModelAdmin, rows: Any) -> Any:
        """Return the keys of the rows that belong to the staff's group."""
        return rows.filter(**{page.reach_path: self.sides["own"].group.pk}).values("pk")

    def token(self, role: str) -> str:
        """Return an access token of a new login of a role; none for `anonymous`."""
        if role == "anonymous":
            return ""
        user = self.users[role]
        return token_of(user) if user.is_staff else tokens.issue(user_id=user.pk).access


def seed() -> None:
    """Make the broker in an empty database."""
    house = make_house()
    for account in (house.anna, house.bruno):
        buy(account, "EURUSD", "0.10")
        buy(account, "EURUSD", "0.10", side=Direction.SELL)
        buy(account, "USDJPY", "0.10")
    for group in (house.usd, house.eur):
        stopped = open_account(
            email=f"{group.name}@example.com", last_name="Stopped", group=group, deposit="200"
        )
        buy(stopped, "EURUSD", "0.10")
        quote("EURUSD", "1.08300", "1.08310")
        liquidation.enforce(stopped.pk, cause="sweep", actor=SEEDER)
        quote("EURUSD", "1.10000", "1.10010")
    for role in declared.STAFF_ROLES[1:]:
        staff(f"{role}@matrix.example", role=role, groups=(house.usd,))
    User.objects.create_superuser("superadmin@matrix.example", PASSWORD)
    fill()


def fill() -> None:
    """Put a row on either side into every table that has none."""
    makers = declared.mapping("ROWS")
    broker = load()
    for area in declared.area_modules():
        for side in broker.sides.values():
            getattr(area, "seed", lambda _side: None)(side)
    for name in SIDES:
        side = broker.sides[name]
        known = side.known
        for label, page in surface.registry().items():
            if broker.row(label, name) is None:
                values = makers[label](side) if label in makers else {}
                known.setdefault(page.model, make(page.model, known, **values))
                broker._rows.pop((label, name))
                assert broker.row(label, name) is not None, f"ROWS: {label} needs a row of the {name} side"


def load() -> Broker:
    """Return the broker of the present database, with fresh prices."""
    quote("EURUSD", "1.10000", "1.10010")
    quote("USDJPY", "150.000", "150.010")
    accounts = TradingAccount.objects.select_related("group", "client__user").order_by("pk")
    sides = {}
    for name, group in zip(SIDES, ("usd", "eur"), strict=True):
        account = accounts.filter(group__name=group)[0]
        sides[name] = Side(name, account.group, account)
    users = {
        role: User.objects.filter(email=f"{role}@matrix.example").first() for role in declared.STAFF_ROLES
    }
    users["trader"] = sides["own"].account.client.user
    return Broker(sides, users)  # type: ignore[arg-type]
