"""Django app configuration of `accounts`."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Audit changes of configuration, without secrets and without personal data in clear."""
        from auditlog.registry import auditlog

        from apps.accounts import checks  # noqa: F401
        from apps.accounts.models import Client, KycDocument, KycReview, TradingAccount, User

        mask = "apps.accounts.permissions.masked"
        auditlog.register(
            User,
            exclude_fields=["password", "last_login", "token_version", "password_changed_at"],
            mask_fields=["email"],
            mask_callable=mask,
            m2m_fields={"groups", "user_permissions"},
        )
        sealed = ["data_key", *(f"{name}_sealed" for name in Client.PERSONAL)]
        hashes = ["full_name_hash", *(f"{name}_hash" for name in Client.HASHED)]
        auditlog.register(Client, exclude_fields=sealed, mask_fields=hashes, mask_callable=mask)
        for model in (TradingAccount, KycReview, KycDocument):
            auditlog.register(model)
