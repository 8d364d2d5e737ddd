"""How the staff log is sealed: every column, in this order for ever."""

from apps.audit.domain.entries import SealedLog

STAFF_LOG = SealedLog(
    name="staff_log",
    table="audit_staffaction",
    subject="coalesce(user_id, 0)",
    subject_query="SELECT 'user ' || %s::text",
    covered=frozenset({"xact", "id", "at"}),
    forms=(
        (
            "actor",
            "user_id",
            "ip",
            "request_id",
            "operation",
            "target_type",
            "target_id",
            "target_label",
            "group_id",
            "account_id",
            "reason",
            "before",
            "after",
            "outcome",
            "detail",
            "command_id",
            "approval_id",
        ),
    ),
)
