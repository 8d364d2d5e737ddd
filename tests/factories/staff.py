"""Staff who are signed in: in the admin with a session, over REST with a token, both with a second factor."""

from datetime import timedelta

from django.test import Client

from apps.accounts.models import StaffSession, User
from apps.accounts.services import second_factors, tokens
from rtx.kernel import clock
from rtx.local.otp import code_at

BACKEND = "django.contrib.auth.backends.ModelBackend"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def signed_in(user: User, *, proved_s_ago: int = 0) -> Client:
    """Return a browser in which this person has signed in with a second factor."""
    client = Client()
    client.force_login(user, backend=BACKEND)
    proved_at = clock.now() - timedelta(seconds=proved_s_ago)
    StaffSession.objects.filter(session_key=client.session.session_key).update(proved_at=proved_at)
    return client


def token_of(user: User, *, proved_s_ago: int = 0) -> str:
    """Return an access token that this person got with a second factor."""
    proved_at = clock.now() - timedelta(seconds=proved_s_ago)
    return tokens.issue(user_id=user.pk, proved_at=proved_at).access


def with_app(user: User) -> User:
    """Give a person an authenticator app with the secret `SECRET`."""
    second_factors.enroll_totp(user=user, secret=SECRET)
    return user


def code(*, later_s: int = 0) -> str:
    """Return the code that the app shows now, or a little later."""
    return code_at(SECRET, at_s=clock.now().timestamp() + later_s)
