"""Tables of audit: what staff did, what waits for a second person, requests by key, seals and checks."""

from apps.audit.models.actions import StaffAction
from apps.audit.models.approvals import Approval
from apps.audit.models.requests import StaffRequest
from apps.audit.models.sealing import Checkpoint, IntegrityCheck, SealStatus

__all__ = ["Approval", "Checkpoint", "IntegrityCheck", "SealStatus", "StaffAction", "StaffRequest"]
