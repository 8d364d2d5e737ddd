"""Admin REST of risk: kill switches and circuit breakers."""

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, REQUIRED_KEY, Staff, StaffView, key_of
from apps.audit.services import requests
from apps.market.models import Symbol
from apps.risk.api.control_outputs import BreakerOut, BreakerStateOut, KillSwitchOut
from apps.risk.api.inputs import KillSwitchIn, ReasonIn
from apps.risk.api.queries import PAGES, SYMBOL_PARAMETER, symbol_of
from apps.risk.models import KillSwitch
from apps.risk.permissions import RELEASE_KILL_SWITCH, right_to_engage, rights_to_reset
from apps.risk.selectors import record_views
from apps.risk.selectors.analytics import breaker_view
from apps.risk.services import breakers, kill_switch
from apps.risk.services.kill_switch import Target
from apps.trading.api.queries import integer
from rtx.kernel import openapi
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.rest import CursorPagination

BREAKER = OpenApiParameter("id", int, description="Only the breaker of this number.")
NO_SYMBOL = openapi.error(404, "symbol_not_found")


class KillSwitchView(StaffView):
    """Kill switches."""

    @extend_schema(
        operation_id="admin_risk_kill_switches",
        parameters=PAGES,
        responses=openapi.responses(
            200, openapi.page(KillSwitchOut), openapi.error(400, "invalid"), FORBIDDEN
        ),
    )
    def get(self, request: Request) -> Response:
        """List kill switches, on and released, newest first; of groups and accounts within reach."""
        self.staff.require("risk.view_killswitch")
        rows = KillSwitch.objects.select_related("group", "symbol", "account")
        pages = CursorPagination()
        found = pages.paginate_queryset(record_views.of_targets(rows, self.staff.reach), request, view=self)
        return pages.get_paginated_response([record_views.kill_switch_view(row) for row in found or []])

    @extend_schema(
        operation_id="admin_risk_kill_switch",
        parameters=[REQUIRED_KEY],
        request=openapi.body(KillSwitchIn),
        responses=openapi.responses(
            200,
            openapi.of(KillSwitchOut),
            openapi.error(400, "invalid", "malformed_json", "invalid_target"),
            FORBIDDEN,
            openapi.error(
                404, "group_not_found", "symbol_not_found", "account_not_found", "kill_switch_not_found"
            ),
            openapi.error(409, "kill_switch_engaged", "kill_switch_released", "idempotency_key_reused"),
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Stop new exposure everywhere, of a group, a symbol or an account, or let it go on. A repeat with the
        same key does nothing again and answers as the first time did.
        """
        given = KillSwitchIn.validated(request.data)
        key = key_of(request)
        actor = Actor.of(request)
        target = _checked(self.staff, given)

        def act() -> dict[str, Any]:
            if target is not None and given.action == "engage":
                row = _engage(given, target, actor)
            else:
                row = _release(self.staff, given, target, actor)
            found = KillSwitch.objects.select_related("group", "symbol", "account").get(pk=row.pk)
            return record_views.kill_switch_view(found)

        content = msgspec.to_builtins(given)
        return Response(requests.once(user_id=self.staff.user.pk, key=key, content=content, act=act))


def _checked(staff: Staff, given: KillSwitchIn) -> Target | None:
    """
    Return what a request names; None: a switch by its number.

    :raises NotFound: it is unknown or out of reach.
    :raises Forbidden: the right is missing.
    """
    if given.scope is None and given.action == "engage":
        raise Invalid("A scope is needed.", errors={"scope": ["is required to engage"]})
    if given.scope is None and given.id is None:
        raise Invalid("Name the switch by id, or by its scope.", errors={"id": ["or scope is required"]})
    by_number = given.action == "release" and given.id is not None
    target = None if by_number else _target(staff, given)
    if given.action == "engage":
        staff.require(right_to_engage(str(given.scope)))
    return target


def _engage(given: KillSwitchIn, target: Target, actor: Actor) -> KillSwitch:
    return kill_switch.engage(
        target=target,
        reason=given.reason,
        actor=actor,
        cancels_orders=given.cancels_orders,
        closes_positions=given.closes_positions,
    )


def _release(staff: Staff, given: KillSwitchIn, target: Target | None, actor: Actor) -> KillSwitch:
    row = _switch(staff, given, target)
    staff.require(RELEASE_KILL_SWITCH)
    return kill_switch.release(switch_id=row.pk, reason=given.reason, actor=actor, may=staff.may)


def _switch(staff: Staff, given: KillSwitchIn, target: Target | None) -> KillSwitch:
    """
    Return the switch that is to be released: by its number, or the newest one of a target.

    :raises NotFound: there is none, or it is out of reach.
    """
    rows = record_views.of_targets(KillSwitch.objects.select_related("account"), staff.reach)
    if target is None:
        row = rows.filter(pk=given.id).first()
    else:
        row = rows.filter(
            scope=target.scope,
            group_id=target.group_id,
            symbol_id=target.symbol_id,
            account_id=target.account_id,
        ).first()
    if row is None:
        raise NotFound("There is no such kill switch.", code="kill_switch_not_found")
    return row


def _target(staff: Staff, given: KillSwitchIn) -> Target:
    """
    Return what a request names.

    :raises NotFound: it is unknown or out of reach.
    """
    symbol_id = None
    if given.symbol is not None:
        symbol_id = Symbol.objects.filter(name=given.symbol).values_list("pk", flat=True).first()
        if symbol_id is None:
            raise NotFound(f"There is no symbol {given.symbol}.", code="symbol_not_found")
    target = Target(
        scope=str(given.scope),
        group_id=None if given.group is None else staff.group(given.group).pk,
        symbol_id=symbol_id,
        account_id=None if given.account is None else staff.account(given.account).pk,
    )
    target.switch()
    return target


class BreakersView(StaffView):
    """Circuit breakers."""

    rights = {"GET": "risk.view_breaker"}

    @extend_schema(
        operation_id="admin_risk_breakers",
        parameters=[SYMBOL_PARAMETER, BREAKER, *PAGES],
        responses=openapi.responses(
            200, openapi.page(BreakerOut), openapi.error(400, "invalid"), FORBIDDEN, NO_SYMBOL
        ),
    )
    def get(self, request: Request) -> Response:
        """
        List the breakers with how they stand for each subject they ever tripped for. With `symbol` only those
        that watch it, and how they stand for it.
        """
        symbol = symbol_of(request)
        if symbol is not None and not Symbol.objects.filter(name=symbol).exists():
            raise NotFound(f"There is no symbol {symbol[:32]}.", code="symbol_not_found")
        rules = record_views.breaker_rules(
            reach=self.staff.reach, symbol=symbol, breaker_id=integer(request, "id")
        )
        pages = CursorPagination()
        found = pages.paginate_queryset(rules, request, view=self) or []
        shown = record_views.breakers(found, reach=self.staff.reach, symbol=symbol)
        return pages.get_paginated_response(shown)


class BreakerResetView(StaffView):
    """Closing a breaker by hand."""

    @extend_schema(
        operation_id="admin_risk_reset_breaker",
        request=openapi.body(ReasonIn),
        responses=openapi.responses(
            200,
            openapi.of(BreakerStateOut),
            400,
            FORBIDDEN,
            openapi.error(404, "breaker_not_found"),
            openapi.error(409, "breaker_closed"),
        ),
    )
    def post(self, request: Request, state_id: int) -> Response:
        """Close the breaker of one subject (`states[].id` of the list): trading goes on at once."""
        given = ReasonIn.validated(request.data)
        row = record_views.breaker_state(state_id, reach=self.staff.reach)
        for right in rights_to_reset(row.account_id):
            self.staff.require(right)
        done = breakers.reset(state_id=row.pk, actor=Actor.of(request), reason=given.reason)
        return Response(breaker_view(done))
