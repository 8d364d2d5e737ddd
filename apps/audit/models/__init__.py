"""Tables of audit: what staff did, what waits for a second person, requests by key."""

from apps.audit.models.actions import StaffAction
from apps.audit.models.approvals import Approval
from apps.audit.models.requests import StaffRequest

__all__ = ["Approval", "StaffAction", "StaffRequest"]
