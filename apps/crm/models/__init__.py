"""Tables of crm: connections, field mappings, links to clients, runs and logs, webhooks, dead letters."""

from apps.crm.models.connections import Connection, OAuthState, OAuthToken
from apps.crm.models.dead_letters import DeadLetter
from apps.crm.models.links import Conflict, Link
from apps.crm.models.mappings import FieldMapping
from apps.crm.models.outbox import Change, JournalCursor
from apps.crm.models.runs import Exchange, SyncEntry, SyncRun
from apps.crm.models.webhooks import WebhookDelivery, WebhookEvent

__all__ = [
    "Change",
    "Conflict",
    "Connection",
    "DeadLetter",
    "Exchange",
    "FieldMapping",
    "JournalCursor",
    "Link",
    "OAuthState",
    "OAuthToken",
    "SyncEntry",
    "SyncRun",
    "WebhookDelivery",
    "WebhookEvent",
]
