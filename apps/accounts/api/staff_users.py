"""Admin REST of users: listing, staff users, passwords. Rights of who exists do not change here."""

from typing import Any

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.client_inputs import ClientReasonIn, NewPasswordIn, NewUserIn, UserIn
from apps.accounts.api.client_outputs import UserOut, user_view
from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.accounts.api.staff_clients import LIMIT, REQUIRED_KEY, key_of
from apps.accounts.models import User
from apps.accounts.permissions import may_manage
from apps.accounts.selectors import clients as found
from apps.accounts.services import role_changes, users
from apps.audit.services import requests
from rtx.kernel import openapi
from rtx.kernel.errors import Forbidden, Invalid, NotFound
from rtx.kernel.rest import CursorPagination

NO_USER = openapi.error(404, "user_not_found")
CHANGE_USER = "accounts.change_user"
ROLE = OpenApiParameter("role", str, enum=User.Role.values, description="Only these.")


class AnyUserView(StaffView):
    """Base of the calls about users."""

    def within(self) -> QuerySet[User]:
        """Return the users within reach."""
        return User.objects.filter(found.users_within(self.staff.reach, person=self.staff.user))


class OneUserView(AnyUserView):
    """Base of the calls about one user."""

    def user(self, user_id: int) -> User:
        """
        Return a user within reach.

        :raises NotFound: unknown, or outside.
        """
        rows = self.within().select_related("client")
        user = rows.filter(pk=user_id).first()
        if user is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return user

    def changeable(self, user_id: int) -> User:
        """
        Return a user that the caller may change: staff only of a role that is theirs to manage.

        :raises NotFound: unknown, or outside reach.
        :raises Forbidden: the right is missing, or the user is staff of the caller's rank or above.
        """
        user = self.user(user_id)
        self.staff.require(CHANGE_USER)
        own = self.staff.user
        if user.is_staff and not may_manage("superadmin" if own.is_superuser else own.role, user.role):
            raise Forbidden("This person is not for you to manage.")
        return user


def shown(user_id: int) -> dict[str, Any]:
    """Return a user as they are now."""
    user = User.objects.select_related("client").get(pk=user_id)
    return user_view(user, getattr(getattr(user, "client", None), "pk", None))


class UsersView(AnyUserView):
    """Users within reach."""

    rights = {"GET": "accounts.view_user"}

    @extend_schema(
        operation_id="admin_list_users",
        parameters=[ROLE, *LIMIT],
        responses=openapi.responses(200, openapi.page(UserOut), openapi.error(400, "invalid"), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List users within reach, newest first; traders without their address."""
        rows = self.within().select_related("client")
        role = request.query_params.get("role")
        if role is not None:
            if role not in User.Role.values:
                raise Invalid("role is unknown.", errors={"role": [f"one of {', '.join(User.Role.values)}"]})
            rows = rows.filter(role=role)
        pages = CursorPagination()
        page = pages.paginate_queryset(rows, request, view=self) or []
        told = [user_view(user, getattr(getattr(user, "client", None), "pk", None)) for user in page]
        return pages.get_paginated_response(told)


class NewUserView(StaffView):
    """Creating staff."""

    fresh = frozenset({"POST"})

    rights = {"POST": "accounts.add_user"}

    @extend_schema(
        operation_id="admin_create_user",
        parameters=[REQUIRED_KEY],
        request=openapi.body(NewUserIn),
        responses=openapi.responses(
            200,
            openapi.of(UserOut),
            400,
            FORBIDDEN,
            openapi.error(409, "email_taken", "idempotency_key_reused"),
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Create a member of staff without a password: it is set by the call for passwords. What an
        administrator may not give alone waits for a super administrator; until then it is an auditor.
        """
        given, key = NewUserIn.validated(request.data), key_of(request)

        def act() -> dict[str, Any]:
            user = role_changes.open_staff(
                email=given.email,
                password=None,
                role=given.role,
                display_name=given.display_name,
                actor=self.staff.acting(given.reason),
            )
            self.staff.record(
                "accounts.add_user", target=user, reason=given.reason, after={"role": user.role}
            )
            return shown(user.pk)

        content = msgspec.to_builtins(given)
        return Response(requests.once(user_id=self.staff.user.pk, key=key, content=content, act=act))


class UserView(OneUserView):
    """One user."""

    fresh = frozenset({"PUT", "DELETE"})

    rights = {"GET": "accounts.view_user"}

    @extend_schema(
        operation_id="admin_get_user",
        responses=openapi.responses(200, openapi.of(UserOut), FORBIDDEN, NO_USER),
    )
    def get(self, request: Request, user_id: int) -> Response:
        """Return one user."""
        return Response(shown(self.user(user_id).pk))

    @extend_schema(
        operation_id="admin_change_user",
        request=openapi.body(UserIn),
        responses=openapi.responses(200, openapi.of(UserOut), 400, FORBIDDEN, NO_USER),
    )
    def put(self, request: Request, user_id: int) -> Response:
        """Change the display name of staff, or whether a user may log in."""
        user = self.changeable(user_id)
        given = UserIn.validated(request.data)
        if given.is_active is False and user.pk == self.staff.user.pk:
            raise Forbidden("Nobody disables themselves.")
        before = {"display_name": user.display_name, "is_active": user.is_active}
        with transaction.atomic():
            if given.display_name is not msgspec.UNSET:
                if not user.is_staff:
                    raise Invalid("A trader has no display name.", errors={"display_name": ["staff only"]})
                user.display_name = given.display_name
                user.save(update_fields=["display_name"])
            if given.is_active is not msgspec.UNSET:
                (users.enable if given.is_active else users.disable)(user_id=user.pk)
            now = User.objects.get(pk=user.pk)
            after = {"display_name": now.display_name, "is_active": now.is_active}
            self.staff.record(
                "accounts.change_user", target=user, reason=given.reason, before=before, after=after
            )
        return Response(shown(user.pk))

    @extend_schema(
        operation_id="admin_disable_user",
        request=openapi.body(ClientReasonIn),
        responses=openapi.responses(200, openapi.of(UserOut), 400, FORBIDDEN, NO_USER),
    )
    def delete(self, request: Request, user_id: int) -> Response:
        """Take the right to log in away; tokens and sockets end within seconds. Nothing is erased."""
        user = self.changeable(user_id)
        given = ClientReasonIn.validated(request.data)
        if user.pk == self.staff.user.pk:
            raise Forbidden("Nobody disables themselves.")
        with transaction.atomic():
            users.disable(user_id=user.pk)
            self.staff.record("accounts.disable_user", target=user, reason=given.reason)
        return Response(shown(user.pk))


class UserPasswordView(OneUserView):
    """The password of a user."""

    fresh = frozenset({"POST"})

    @extend_schema(
        operation_id="admin_set_password",
        request=openapi.body(NewPasswordIn),
        responses=openapi.responses(
            204, None, openapi.error(400, "invalid", "malformed_json", "weak_password"), FORBIDDEN, NO_USER
        ),
    )
    def post(self, request: Request, user_id: int) -> Response:
        """Set a password; every token and socket of the user ends. It is logged that, never what."""
        user = self.changeable(user_id)
        given = NewPasswordIn.validated(request.data)
        with transaction.atomic():
            users.set_password(user_id=user.pk, password=given.new)
            self.staff.record("accounts.set_password", target=user, reason=given.reason)
        return Response(status=204)
