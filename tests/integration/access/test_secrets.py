"""Secrets of second factors at rest."""

from io import StringIO
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.management import call_command

from apps.accounts.models import User
from apps.accounts.services import second_factors
from tests.factories.staff import SECRET, code


def test_a_new_master_key_takes_over_the_secrets(dealer: User, settings: Any) -> None:
    codes = RecoveryCodes.activate(dealer).get_unused_codes()
    before = str(list(Authenticator.objects.values_list("data", flat=True)))
    settings.ENCRYPTION_KEYS = ["new:" + "A" * 43 + "=", *settings.ENCRYPTION_KEYS]
    out = StringIO()
    call_command("rewrap_keys", stdout=out)
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]  # the old key is gone

    assert SECRET not in before
    assert "2 secrets of second factors were encrypted anew." in out.getvalue()
    assert second_factors.use_code(user_id=dealer.pk, code=code()).type == "totp"
    assert second_factors.use_code(user_id=dealer.pk, code=codes[0]).type == "recovery_codes"
