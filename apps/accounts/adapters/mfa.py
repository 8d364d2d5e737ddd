"""
What django-allauth asks about second factors: how secrets are kept and what the person's devices call us.

Named by dotted path in the settings. Decides nothing about who may sign in.
"""

import base64
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings

from rtx.kernel import encryption

PLACE = b"mfa_authenticator.data.secret"


class StaffMfaAdapter(DefaultMFAAdapter):
    """Keeps secrets encrypted with the master keys."""

    def encrypt(self, text: str) -> str:
        """Return a secret as it is stored."""
        return base64.b64encode(encryption.master_keys().seal(text.encode(), associated=PLACE)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret in clear."""
        sealed = base64.b64decode(encrypted_text)
        return encryption.master_keys().open(sealed, associated=PLACE).decode()

    def get_totp_issuer(self) -> str:
        """Return the name that an authenticator app shows."""
        return str(settings.SITE_NAME)

    def _get_site_name(self) -> str:
        return str(settings.SITE_NAME)

    def can_delete_authenticator(self, authenticator: Any) -> bool:
        """Keep the last second factor: without one nothing but enrollment would open."""
        others = type(authenticator).objects.filter(user_id=authenticator.user_id)
        return bool(others.exclude(pk=authenticator.pk).exclude(type="recovery_codes").exists())
