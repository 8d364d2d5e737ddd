"""
What stands around staff who sign in: their sessions in the admin, where they may come from, and how far they
reach.
"""

from typing import ClassVar

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from apps.accounts.models.users import User
from apps.groups.models import TradingGroup


class StaffSession(models.Model):
    """
    One sign-in of staff to the admin. It goes on while it is used, ends by itself, and can be ended here;
    without a second factor it opens nothing but the enrollment of one.
    """

    class End(models.TextChoices):
        SIGNED_OUT = "signed_out", "Signed out"
        IDLE = "idle", "Idle for too long"
        TOO_OLD = "too_old", "Longest time reached"
        REVOKED = "revoked", "Revoked"
        ADDRESS = "address", "Address not allowed"

    session_key = models.CharField(max_length=40, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="staff_sessions")
    ip = models.GenericIPAddressField("address", null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(db_index=True)
    seen_at = models.DateTimeField(help_text="The last time the person did something, to half a minute.")
    proved_at = models.DateTimeField(
        "second factor", null=True, blank=True, help_text="When the person last proved who they are."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    end = models.CharField(max_length=12, choices=End.choices, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]
        indexes = [models.Index(fields=["user"], name="staff_session_open", condition=Q(ended_at=None))]
        permissions = [("revoke_staffsession", "Can end sessions of staff")]

    def __str__(self) -> str:
        return f"session {self.pk} of {self.user}"


class AllowedNetwork(models.Model):
    """
    Where staff may come from. A person with entries of their own, or anybody once there are entries for all,
    is let in from those networks only; without any entry from everywhere.
    """

    network = models.CharField(max_length=43, help_text="An address or a network, such as 203.0.113.0/24.")
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="allowed_networks",
        limit_choices_to={"is_staff": True},
        help_text="Whom it is for; empty: all staff.",
    )
    note = models.CharField(max_length=120)
    until = models.DateTimeField(
        "until (UTC)", null=True, blank=True, help_text="From then on it counts no more."
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["network"]
        constraints = [
            models.UniqueConstraint(
                fields=["network", "user"], name="allowed_network_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.network} for {self.user or 'all staff'}"


class ReachGrant(models.Model):
    """
    Lets one member of staff, or one staff group, operate a trading group, for good or until an instant. The
    right itself is guardian's `manage_group`; a grant that has run out counts no more at once.
    """

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="reach_grants",
        limit_choices_to={"is_staff": True},
        verbose_name="member of staff",
    )
    staff_group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True)
    trading_group = models.ForeignKey(TradingGroup, on_delete=models.CASCADE, related_name="reach_grants")
    until = models.DateTimeField("until (UTC)", null=True, blank=True, help_text="Empty: until withdrawn.")
    reason = models.CharField(max_length=200)
    given_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    given_at = models.DateTimeField(editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["-given_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None) ^ Q(staff_group=None), name="reach_grant_of_one_kind"
            ),
            models.UniqueConstraint(fields=["user", "trading_group"], name="reach_grant_once_per_user"),
            models.UniqueConstraint(fields=["staff_group", "trading_group"], name="reach_grant_once_per_set"),
        ]

    def __str__(self) -> str:
        return f"{self.trading_group} for {self.user or self.staff_group}"
