"""
Admin REST of trading groups: the same services, what-if, second person and log as the admin's pages. Stands
here because staff, their reach and their rights do; groups know neither.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.group_inputs import DeactivateIn, GroupIn, NewGroupIn
from apps.accounts.api.group_outputs import GroupOut, group_view
from apps.accounts.api.staff import FORBIDDEN, REQUIRED_KEY, GroupNotFound, StaffView, key_of
from apps.audit.models import Approval
from apps.audit.services import requests
from apps.groups.models import TradingGroup
from apps.groups.selectors import effective_terms
from apps.groups.services import groups
from apps.groups.services.stop_out import KIND
from apps.market.services import terms_changes
from apps.market.services.terms_changes import NOTHING, WHATEVER_COMES, TermsChange
from rtx.kernel import openapi
from rtx.kernel.rest import CursorPagination

BAD = openapi.error(400, "invalid", "malformed_json", "terms_invalid")
NO_GROUP = openapi.error(404, "group_not_found", "symbol_not_found")
STALE = openapi.error(401, "not_authenticated", "invalid_token", "reauthentication_required")
CONFLICTS = ("terms_need_confirmation", "stop_out_edit_waits", "idempotency_key_reused")
EDIT_TERMS = ("groups.add_groupsymbol", "groups.change_groupsymbol", "groups.delete_groupsymbol")


class GroupsView(StaffView):
    """All groups within reach."""

    rights = {"GET": "groups.view_tradinggroup"}

    @extend_schema(
        operation_id="admin_groups",
        responses=openapi.responses(200, openapi.page(GroupOut), openapi.error(400, "invalid"), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List groups, newest first, each with what results for every symbol and from where."""
        rows = TradingGroup.objects.select_related("margin_schedule")
        if self.staff.reach is not None:
            rows = rows.filter(pk__in=self.staff.reach)
        pages = CursorPagination()
        found = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([_shown(row) for row in found])


class NewGroupView(StaffView):
    """A group to be."""

    rights = {"POST": "groups.add_tradinggroup"}
    fresh = {"POST"}

    @extend_schema(
        operation_id="admin_group_create",
        parameters=[REQUIRED_KEY],
        request=openapi.body(NewGroupIn),
        responses=openapi.responses(
            201,
            openapi.of(GroupOut),
            BAD,
            STALE,
            FORBIDDEN,
            openapi.error(404, "symbol_not_found"),
            openapi.error(409, *CONFLICTS),
        ),
    )
    def post(self, request: Request) -> Response:
        """Make a group. Whoever makes it reaches it."""
        given = NewGroupIn.validated(request.data)

        def act(change: TermsChange) -> TradingGroup:
            return groups.create(change, values=given.values(), symbols=given.terms())

        answer = _once(self, request, given, act)
        return Response(answer, status=status.HTTP_201_CREATED)


class GroupView(StaffView):
    """One group."""

    fresh = {"PUT", "DELETE"}

    @extend_schema(
        operation_id="admin_group_change",
        parameters=[REQUIRED_KEY],
        request=openapi.body(GroupIn),
        responses=openapi.responses(
            200, openapi.of(GroupOut), BAD, STALE, FORBIDDEN, NO_GROUP, openapi.error(409, *CONFLICTS)
        ),
    )
    def put(self, request: Request, group_id: int) -> Response:
        """
        Change a group and its terms per symbol. What would call or close accounts is answered 409 with their
        list, unless `confirm`; levels that accounts stand under wait for a second person (`waiting`).
        """
        group = self._group(group_id)
        self.staff.require("groups.change_tradinggroup")
        given = GroupIn.validated(request.data)
        if given.terms():
            for right in EDIT_TERMS:
                self.staff.require(right)

        def act(change: TermsChange) -> TradingGroup:
            row = TradingGroup.objects.select_for_update().get(pk=group.pk)
            return groups.update(change, row, values=given.values(), symbols=given.terms())

        return Response(_once(self, request, given, act, group_id=group.pk))

    @extend_schema(
        operation_id="admin_group_deactivate",
        parameters=[REQUIRED_KEY],
        request=openapi.body(DeactivateIn),
        responses=openapi.responses(
            200,
            openapi.of(GroupOut),
            openapi.error(400, "invalid", "malformed_json"),
            STALE,
            FORBIDDEN,
            openapi.error(404, "group_not_found"),
            openapi.error(409, "group_in_use", *CONFLICTS),
        ),
    )
    def delete(self, request: Request, group_id: int) -> Response:
        """Switch a group off, when none of its accounts may still trade. Nothing is erased."""
        group = self._group(group_id)
        self.staff.require("groups.change_tradinggroup")
        given = DeactivateIn.validated(request.data)

        def act(change: TermsChange) -> TradingGroup:
            row = TradingGroup.objects.select_for_update().get(pk=group.pk)
            groups.deactivate(change, row)
            return row

        return Response(_once(self, request, given, act, group_id=group.pk))

    def _group(self, group_id: int) -> TradingGroup:
        found = TradingGroup.objects.filter(pk=group_id).first()
        if found is None or not self.staff.reaches(found.pk):
            raise GroupNotFound("There is no such group.")
        self.staff.touched.update(group_id=found.pk)
        return found


def _once(
    view: StaffView,
    request: Request,
    given: DeactivateIn | GroupIn,
    act: Callable[[TermsChange], TradingGroup],
    *,
    group_id: int | None = None,
) -> dict[str, Any]:
    """Carry out one change of terms, once per key."""

    def carry_out() -> dict[str, Any]:
        with terms_changes.changing(
            actor=view.staff.acting(given.reason),
            reach=view.staff.reach,
            confirmed=WHATEVER_COMES if given.confirm else NOTHING,
        ) as change:
            group = act(change)
        return {"id": group.pk}

    content = [request.method, group_id, msgspec.to_builtins(given)]
    done = requests.once(user_id=view.staff.user.pk, key=key_of(request), content=content, act=carry_out)
    return _shown(TradingGroup.objects.select_related("margin_schedule").get(pk=done["id"]))


def _shown(group: TradingGroup) -> dict[str, Any]:
    waiting = Approval.objects.filter(kind=KIND, group_id=group.pk, status=Approval.Status.PENDING)
    return group_view(
        group,
        effective_terms(group_ids=[group.pk]),
        waiting=list(waiting.values_list("summary", flat=True)),
    )
