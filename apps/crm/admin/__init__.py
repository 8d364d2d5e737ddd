"""Admin pages of crm: connections with their mapping, runs, customers, problems, traffic."""

from apps.crm.admin.client_page import LinkedClientAdmin
from apps.crm.admin.connections import ConnectionAdmin
from apps.crm.admin.mappings import FieldMappingAdmin
from apps.crm.admin.problems import DeadLetterAdmin
from apps.crm.admin.records import ConflictAdmin, LinkAdmin, SyncEntryAdmin
from apps.crm.admin.runs import SyncRunAdmin
from apps.crm.admin.traffic import ExchangeAdmin, WebhookDeliveryAdmin, WebhookEventAdmin

__all__ = [
    "ConflictAdmin",
    "ConnectionAdmin",
    "DeadLetterAdmin",
    "ExchangeAdmin",
    "FieldMappingAdmin",
    "LinkAdmin",
    "LinkedClientAdmin",
    "SyncEntryAdmin",
    "SyncRunAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEventAdmin",
]
