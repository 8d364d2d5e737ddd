"""Django app configuration of `crm`."""

from django.apps import AppConfig


class CRMConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.crm"
    label = "crm"
    verbose_name = "CRM"

    def ready(self) -> None:
        """Keep every version of connections and mappings, without secrets and what a connection learns."""
        from auditlog.registry import auditlog

        from apps.crm.models import Connection, FieldMapping

        learned = [
            *(
                "client_secret_sealed",
                "webhook_secret_sealed",
                "api_url",
                "external_id",
                "daily_max",
                "daily_left",
            ),
            *(
                "calls",
                "not_before",
                "failures",
                "open_until",
                "pull_cursor",
                "pulled_at",
                "watch",
                "last_ok_at",
            ),
            *("last_error_code", "last_error", "last_error_at"),
            *("fault_code", "fault", "fault_during", "fault_at", "push_refusals", "push_not_before"),
            *("account_push_refusals", "account_push_not_before"),
        ]
        auditlog.register(Connection, exclude_fields=learned)
        auditlog.register(FieldMapping)
