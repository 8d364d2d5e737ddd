"""
What every REST view for staff shares: active staff only, a token that a second factor opened, an allowed
address, rights as permissions, reach as trading groups.

Outside reach the answer is 404, whatever the right; within reach and without the right it is 403. A trader's
token opens nothing here.
"""

import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.db.models import Model
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.models import TradingAccount, User
from apps.accounts.selectors.accounts import AccountNotFound
from apps.accounts.services import sign_in
from apps.audit.services import actions
from apps.groups.models import TradingGroup
from rtx.kernel import clock, openapi
from rtx.kernel.actor import Actor
from rtx.kernel.admin import reachable_groups
from rtx.kernel.errors import Forbidden, Invalid, NotAuthenticated, NotFound, RtxError
from rtx.kernel.rest import as_rtx_error

FORBIDDEN = openapi.error(403, "forbidden")
KEY_MAX_CHARS = 48
OPERATION_MAX = 80
REFUSALS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
KEY = re.compile(r"^[\x21-\x22\x24-\x7e][\x21-\x7e]*\Z")
REQUIRED_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": KEY_MAX_CHARS},
    OpenApiParameter.HEADER,
    required=True,
    description="Makes a repeat the same request.",
)
Reach = frozenset[int] | None


class ReauthenticationRequired(NotAuthenticated):
    """The token's sign-in is too long ago for what moves money or positions."""

    code = "reauthentication_required"
    title = "Sign in again"


class GroupNotFound(NotFound):
    """There is no such trading group, or it is not within the caller's reach."""

    code = "group_not_found"
    title = "Group not found"


def key_of(request: Request) -> str:
    """
    Return the request's key.

    :raises Invalid: it is missing or has the wrong form.
    """
    given = request.headers.get("Idempotency-Key", "")
    if len(given) > KEY_MAX_CHARS or not KEY.search(given):
        raise Invalid(
            "Idempotency-Key is needed: 1 to 48 printable characters.",
            errors={"Idempotency-Key": ["1 to 48 printable characters, not beginning with #"]},
        )
    return given


class GivenReason(msgspec.Struct):
    """The one field of any body that the staff log keeps when a call is refused."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Staff:
    """
    A member of staff who calls: `reach` are the ids of the trading groups they operate, None: all. `origin`
    says who and from where, without a reason; `touched` are group and account of the call, once known.
    """

    user: User
    reach: Reach
    origin: Actor
    touched: dict[str, int] = field(default_factory=dict, compare=False)

    def may(self, right: str) -> bool:
        """Tell whether they have a right such as `risk.view_liquidation`."""
        return bool(self.user.has_perm(right))

    def require(self, right: str) -> None:
        """
        Go on only with a right.

        :raises Forbidden: they lack it.
        """
        if not self.may(right):
            raise Forbidden(f"This needs the right {right}.")

    def acting(self, reason: str = "") -> Actor:
        """Return them as the actor of what they do, with the reason they gave."""
        return replace(self.origin, reason=reason)

    def record(self, operation: str, *, target: Model | None = None, reason: str = "", **entry: Any) -> None:
        """Write what they did into the staff log, in the transaction that does it (see `actions.record`)."""
        actions.record(actor=self.acting(reason), operation=operation, target=target, **entry)

    def reaches(self, group_id: int) -> bool:
        """Tell whether a trading group is within reach."""
        return self.reach is None or group_id in self.reach

    def account(self, login: int) -> TradingAccount:
        """
        Return an account within reach.

        :raises AccountNotFound: unknown, or outside.
        """
        found = TradingAccount.objects.select_related("group").filter(login=login).first()
        if found is None or not self.reaches(found.group_id):
            raise AccountNotFound
        self.touched.update(account_id=found.pk, group_id=found.group_id)
        return found

    def group(self, name: str) -> TradingGroup:
        """
        Return a trading group within reach.

        :raises GroupNotFound: unknown, or outside.
        """
        found = TradingGroup.objects.filter(name=name).first()
        if found is None or not self.reaches(found.pk):
            raise GroupNotFound(f"There is no group {name[:40]}.")
        self.touched.update(group_id=found.pk)
        return found


class IsStaff(BasePermission):
    """Refuses traders."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """
        Let active staff pass.

        :raises Forbidden: the caller is no member of staff.
        """
        if not request.user.is_staff:
            raise Forbidden("This is for staff.")
        return True


def _reason_of(request: Request) -> str:
    """Return the reason that the body gives; empty: none, or it is no such body."""
    try:
        body: Any = request.data
        return msgspec.json.decode(body, type=GivenReason).reason
    except (msgspec.DecodeError, TypeError, APIException, RtxError):
        return ""


class StaffView(APIView):
    """
    Base of the calls for staff. `rights` names the right of each method that is checked at once; the methods
    in `fresh` move money or positions and need a sign-in of the last `RECENT_LOGIN_S` seconds.

    What a member of staff was not allowed or not able to do is in the staff log, as when a page refuses.
    """

    permission_classes = (IsAuthenticated, IsStaff)
    rights: ClassVar[dict[str, str]] = {}
    fresh: ClassVar[frozenset[str] | set[str]] = frozenset()
    staff: Staff

    def handle_exception(self, exc: Exception) -> Response:
        """Answer what went wrong, and log a write that was refused."""
        answer = super().handle_exception(exc)
        error = as_rtx_error(exc)
        is_write = self.request.method not in SAFE_METHODS
        if is_write and error is not None and error.status in REFUSALS and not error.is_logged:
            self._log_refusal(error)
        return answer

    def _log_refusal(self, error: RtxError) -> None:
        staff: Staff | None = getattr(self, "staff", None)
        if staff is None:  # nobody has proved to be staff
            return
        ids = {name: str(value) for name, value in self.kwargs.items()}
        actions.record_refusal(
            actor=staff.acting(_reason_of(self.request)),
            operation=f"rest.{str(self.request.method).lower()}.{type(self).__name__}"[:OPERATION_MAX],
            detail=f"{error.code}: {error.detail}",
            target_label=self.request.path,
            after=ids,
            **staff.touched,
        )

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """
        Check the caller before the call.

        :raises Forbidden: no staff, or without the right.
        :raises SecondFactorRequired: the token is one of the trader's interface.
        :raises AddressNotAllowed: staff may not come from there.
        :raises ReauthenticationRequired: the sign-in is too long ago for this call.
        """
        super().initial(request, *args, **kwargs)
        proved_at_s = caller(request).claims.proved_at_s
        user = User.objects.filter(pk=caller(request).pk, is_active=True, is_staff=True).first()
        if user is None:
            raise Forbidden("This is for staff.")
        sign_in.require_proof(user=user, proved_at_s=proved_at_s, request=request._request)
        self.staff = Staff(user, reachable_groups(user), Actor.of(request))
        method = "GET" if request.method == "HEAD" else request.method  # answered by `get`
        right = self.rights.get(method or "")
        if right is not None:
            self.staff.require(right)
        if method in self.fresh and clock.now().timestamp() - proved_at_s > settings.RECENT_LOGIN_S:
            raise ReauthenticationRequired("Sign in again: this needs a sign-in of the last few minutes.")
