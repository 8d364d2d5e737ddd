"""`manage.py kill_switch on|off|status|drill`: the kill switch without a browser. See docs/kill-switch.md."""

import getpass
import time
from argparse import ArgumentParser
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import TradingAccount
from apps.groups.domain.terms import Terms
from apps.groups.models import TradingGroup
from apps.groups.selectors import terms_book
from apps.market.models import Symbol
from apps.risk.models import KillSwitch
from apps.risk.selectors import kill_switches
from apps.risk.services import kill_switch, kill_switch_work
from apps.risk.services.kill_switch import Target
from apps.trading.domain.commands import Outcome
from apps.trading.domain.orders import Side
from apps.trading.services import orders, positions
from apps.trading.services.orders import MarketOrder
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError

DRILL_S = 1.0


def whoever_is_here(right: str) -> bool:
    """Grant every right: whoever runs commands on the server holds its database in hand."""
    return True


class Command(BaseCommand):
    """Stop trading, let it go on, show how it stands, practice it."""

    help = "Kill switch: on, off, status, drill. Works without Redis and without the web."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Read what to do and where."""
        parser.add_argument("action", choices=["on", "off", "status", "drill"])
        parser.add_argument("--group", help="a trading group's name")
        parser.add_argument("--symbol", help="a symbol's name")
        parser.add_argument("--account", type=int, help="an account's number")
        parser.add_argument("--id", type=int, help="off: the switch's number, else the one of the scope")
        parser.add_argument("--reason", default="", help="needed for on, off and drill")
        parser.add_argument("--cancel-orders", action="store_true", help="cancel the scope's working orders")
        parser.add_argument("--close-positions", action="store_true", help="close the scope's open positions")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one action."""
        self._actor = Actor.system(f"manage:{getpass.getuser()}"[:60])
        try:
            getattr(self, f"_{options['action']}")(options)
        except RtxError as error:
            raise CommandError(error.detail) from error

    def _on(self, options: dict[str, Any]) -> None:
        target = self._target(options)
        if options["dry_run"]:
            self._preview(target.switch(), options)
            return
        started = time.perf_counter()
        switch = kill_switch.engage(
            target=target,
            reason=self._reason(options),
            actor=self._actor,
            cancels_orders=options["cancel_orders"],
            closes_positions=options["close_positions"],
        )
        took_ms = (time.perf_counter() - started) * 1000
        self.stdout.write(
            f"engaged #{switch.pk} ({switch}) in {took_ms:.0f} ms; orders are refused from now on"
        )

    def _off(self, options: dict[str, Any]) -> None:
        switch = self._found(options)
        if options["dry_run"]:
            self.stdout.write(f"would release #{switch.pk} ({switch}): {switch.reason}")
            return
        kill_switch.release(
            switch_id=switch.pk, reason=self._reason(options), actor=self._actor, may=whoever_is_here
        )
        self.stdout.write(f"released #{switch.pk} ({switch})")

    def _status(self, options: dict[str, Any]) -> None:
        switches = list(kill_switches.engaged())
        if not switches:
            self.stdout.write("no kill switch is on")
        now = clock.now()
        for switch in switches:
            held = kill_switches.extent(switch)
            since = f"{switch.engaged_at:%Y-%m-%d %H:%M:%S} UTC"
            self.stdout.write(
                f"#{switch.pk} {switch}: {kill_switch_work.summary(switch, now=now)}; since {since} by "
                f"{switch.engaged_by}: {switch.reason} ({held.working_orders} working orders, "
                f"{held.positions} positions in scope)"
            )

    def _drill(self, options: dict[str, Any]) -> None:
        """Stop one account, see an order refused, let it go on; nothing is canceled or closed."""
        target = self._target(options)
        if target.account_id is None:
            raise CommandError("A drill is held on one account: --account NUMBER.")
        if options["dry_run"]:
            self._preview(target.switch(), options)
            return
        account = TradingAccount.objects.get(pk=target.account_id)
        terms = _offered(account)
        switch = kill_switch.engage(
            target=target, reason=f"Drill: {self._reason(options)}"[:200], actor=self._actor
        )
        started = time.perf_counter()
        try:
            order = MarketOrder(
                symbol=terms.symbol.name,
                side=Side.BUY,
                volume=terms.volume_min,
                client_order_id=f"drill-{uuid4().hex[:12]}",
            )
            outcome = orders.place_market(account_id=account.pk, order=order, actor=self._actor)
            took_s = time.perf_counter() - started
        finally:
            kill_switch.release(
                switch_id=switch.pk, reason="Drill is over", actor=self._actor, may=whoever_is_here
            )
        answer = outcome.refusal.value if outcome.refusal else outcome.type
        self.stdout.write(f"an order on {account} was answered {answer} after {took_s * 1000:.0f} ms")
        if outcome.refusal is None:
            self._undo(account, outcome, terms)
        if answer != "kill_switch" or took_s > DRILL_S:
            raise CommandError("The drill failed: the order was not refused by the kill switch within 1 s.")
        self.stdout.write(f"drill passed; switch #{switch.pk} is released")

    def _undo(self, account: TradingAccount, outcome: Outcome, terms: Terms) -> None:
        """Close what an order of the drill opened, because no switch stopped it."""
        position_id = outcome.orders[0].position_id
        told = f"it was filled: position {position_id}"
        try:
            closed = positions.close(
                account_id=account.pk,
                position_id=position_id or 0,
                volume=terms.volume_min,
                client_order_id=f"drill-{uuid4().hex[:12]}",
                actor=self._actor,
            )
            left = closed.refusal.value if closed.refusal else ""
        except RtxError as error:
            left = error.code
        self.stdout.write(f"{told} {f'must be closed by hand ({left})' if left else 'was closed again'}")

    def _preview(self, switch: KillSwitch, options: dict[str, Any]) -> None:
        held = kill_switches.extent(switch)
        does = ["refuse new exposure"]
        if options["cancel_orders"]:
            does.append(f"cancel {held.working_orders} working orders")
        if options["close_positions"]:
            does.append(f"close {held.positions} positions")
        self.stdout.write(
            f"would stop {switch} ({held.accounts} accounts): {', '.join(does)}; nothing was done"
        )

    def _target(self, options: dict[str, Any]) -> Target:
        named = [name for name in ("group", "symbol", "account") if options[name] is not None]
        if len(named) > 1:
            raise CommandError("Name one of --group, --symbol, --account, or none for the platform.")
        if not named:
            return Target(scope="platform")
        name, value = named[0], options[named[0]]
        if name == "group":
            row: Any = TradingGroup.objects.filter(name=value).first()
        elif name == "symbol":
            row = Symbol.objects.filter(name=value).first()
        else:
            row = TradingAccount.objects.filter(login=value).first()
        if row is None:
            raise CommandError(f"There is no {name} {value}.")
        return Target(scope=name, **{f"{name}_id": row.pk})

    def _found(self, options: dict[str, Any]) -> KillSwitch:
        rows = kill_switches.engaged()
        if options["id"] is not None:
            rows = rows.filter(pk=options["id"])
        else:
            target = self._target(options)
            named = {name: getattr(target, name) for name in kill_switch.TARGETS.values()}
            rows = rows.filter(
                scope=target.scope,
                **{
                    name if value is not None else f"{name}__isnull": value or True
                    for name, value in named.items()
                },
            )
        switch = rows.first()
        if switch is None:
            raise CommandError("No such kill switch is on.")
        return switch

    def _reason(self, options: dict[str, Any]) -> str:
        if not options["reason"].strip():
            raise CommandError("--reason is needed: it is written into the history.")
        return str(options["reason"])


def _offered(account: TradingAccount) -> Terms:
    """Return the terms of a symbol that an account may trade."""
    book = terms_book()
    offered = [terms for terms in book.terms[account.group_id].values() if terms.is_offered]
    if not offered:
        raise CommandError("The account's group trades no symbol to try an order on.")
    return min(offered, key=lambda terms: terms.symbol.name)
