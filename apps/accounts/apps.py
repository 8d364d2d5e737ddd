"""Django app configuration of `accounts`."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Audit changes of configuration, without secrets and without personal data in clear."""
        from allauth.account.signals import authentication_step_completed
        from allauth.account.signals import user_logged_in as signed_in_by_page
        from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
        from auditlog.registry import auditlog
        from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

        from apps.accounts import checks, receivers
        from apps.accounts.models import Client, KycDocument, KycReview, TradingAccount, User

        assert checks
        user_logged_in.connect(receivers.open_session, dispatch_uid="accounts.open_session")
        signed_in_by_page.connect(receivers.log_sign_in, dispatch_uid="accounts.log_sign_in")
        user_login_failed.connect(receivers.log_failure, dispatch_uid="accounts.log_failure")
        user_logged_out.connect(receivers.close_session, dispatch_uid="accounts.close_session")
        authentication_step_completed.connect(receivers.note_proof, dispatch_uid="accounts.note_proof")
        authenticator_added.connect(receivers.note_enrollment, dispatch_uid="accounts.note_enrollment")
        authenticator_removed.connect(receivers.note_removal, dispatch_uid="accounts.note_removal")
        authenticator_reset.connect(receivers.note_new_codes, dispatch_uid="accounts.note_new_codes")
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
