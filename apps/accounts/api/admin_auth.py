"""REST: signing staff in. The same tokens as a trader's; what they open is decided by role and reach."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.auth import OpenAuthView, TokenPairOut
from apps.accounts.api.inputs import LoginIn
from apps.accounts.services import users
from rtx.kernel import openapi


class StaffLoginView(OpenAuthView):
    """Start a login of staff."""

    @extend_schema(
        operation_id="admin_login",
        auth=[],
        request=openapi.body(LoginIn),
        responses=openapi.responses(
            200, openapi.of(TokenPairOut), 400, openapi.error(401, "invalid_credentials")
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Exchange the e-mail and password of active staff for tokens. A trader's are refused like wrong ones;
        `otp` is accepted and not yet asked for.
        """
        given = LoginIn.validated(request.data)
        pair = users.log_in(
            request=request._request, email=given.email, password=given.password, staff_only=True
        )
        return Response({"access": pair.access, "refresh": pair.refresh, "expires_in": pair.expires_in})
