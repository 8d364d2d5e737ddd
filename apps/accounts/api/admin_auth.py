"""REST: signing staff in. Their tokens say that a second factor was used; role and reach decide the rest."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.auth import OpenAuthView, TokenPairOut
from apps.accounts.api.inputs import LoginIn
from apps.accounts.services import sign_in
from rtx.kernel import openapi


class StaffLoginView(OpenAuthView):
    """Start a login of staff."""

    @extend_schema(
        operation_id="admin_login",
        auth=[],
        request=openapi.body(LoginIn),
        responses=openapi.responses(
            200,
            openapi.of(TokenPairOut),
            400,
            openapi.error(401, "invalid_credentials", "otp_required", "invalid_otp"),
            openapi.error(403, "second_factor_missing", "address_not_allowed"),
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Exchange e-mail, password and a code of the second factor for tokens. A trader's are refused like
        wrong ones. `otp` is the code of the authenticator app, or a recovery code; each is good once. Actions
        on money and positions need a sign-in of the last few minutes: sign in again for them.
        """
        given = LoginIn.validated(request.data)
        pair = sign_in.log_in_staff(
            request=request._request, email=given.email, password=given.password, otp=given.otp
        )
        return Response({"access": pair.access, "refresh": pair.refresh, "expires_in": pair.expires_in})
