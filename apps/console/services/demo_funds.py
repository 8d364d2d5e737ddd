"""
Fund policies of the demo broker, and a queue to look at: some operations that were posted, one that waits for
a second person, requests of clients. All of them through the services, once. Demo only.
"""

from decimal import Decimal

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import TradingAccount, User
from apps.funds.domain.operations import Asked, signed
from apps.funds.models import FundPolicy
from apps.funds.services import decisions, requests
from apps.groups.models import TradingGroup
from rtx.kernel.actor import Actor, ActorKind

THRESHOLD = Decimal(10_000)
MINIMUM = Decimal(10)
POSTED = (
    ("deposit", "1500", "SWIFT 8811-01", "seen on the bank statement"),
    ("withdrawal", "200", "payout 4471", "client asked by phone"),
    ("credit", "100", "campaign autumn", "welcome bonus"),
    ("adjustment", "-12.50", "ticket 9034", "swap was credited twice"),
)
LARGE = ("deposit", "25000", "SWIFT 8811-07", "sale of a house, see the mail")
REQUESTED = ((BalanceKind.DEPOSIT, "750"), (BalanceKind.WITHDRAWAL, "120"))


def seed(groups: dict[str, TradingGroup], accounts: list[TradingAccount]) -> None:
    """Create whatever is missing; `accounts` are the traders' that are shown."""
    FundPolicy.objects.filter(group=None, threshold=None).update(threshold=THRESHOLD, minimum=MINIMUM)
    for group in groups.values():
        FundPolicy.objects.get_or_create(group=group, defaults={"threshold": THRESHOLD, "minimum": MINIMUM})
    admin = User.objects.filter(role=User.Role.ADMIN, is_active=True).order_by("pk").first()
    boss = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is None or boss is None or len(accounts) <= len(POSTED) + len(REQUESTED):
        return
    for account, asked in zip(accounts, POSTED, strict=False):
        _ask(account, asked, admin)
    second, waiting = accounts[len(POSTED)], accounts[0]
    large = _ask(second, (LARGE[0], LARGE[1], "SWIFT 8811-06", LARGE[3]), admin)
    if large.is_waiting:
        decisions.approve(large, actor=_acting(boss, "called back"), may=boss.has_perm, key="demo-second")
    _ask(waiting, LARGE, admin)
    for account, (kind, amount) in zip(accounts[len(POSTED) + 1 :], REQUESTED, strict=False):
        requests.by_client(
            account=account,
            kind=kind,
            amount=Decimal(amount),
            comment="",
            key=f"demo-{kind}",
            actor=Actor(kind=ActorKind.CLIENT, name=f"user:{account.client.user_id}"),
        )


def _ask(account: TradingAccount, asked: tuple[str, str, str, str], user: User) -> requests.FundOperation:
    kind, amount, reference, reason = asked
    wanted = Asked(
        account_id=account.pk,
        kind=BalanceKind(kind),
        amount=signed(BalanceKind(kind), Decimal(amount), currency=account.currency),
        reference=reference,
        comment="",
    )
    return requests.by_staff(
        account=account,
        asked=wanted,
        key=f"demo-{reference}",
        actor=_acting(user, reason),
        may=user.has_perm,
    )


def _acting(user: User, reason: str) -> Actor:
    return Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason=reason)
