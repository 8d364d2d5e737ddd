"""
Users with e-mail login and roles, and their refresh tokens. Passwords and tokens are stored as hashes only.
"""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone


class LoginEmailField(models.EmailField):
    """An e-mail address that is stored and compared in lower case."""

    def to_python(self, value: Any) -> Any:
        """Return the address in lower case without surrounding space."""
        value = super().to_python(value)
        return value.strip().lower() if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return the lower-case form for storage and for every comparison."""
        return self.to_python(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Keep the instance equal to what is stored."""
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user; without a password nobody can log in as them."""
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a super administrator, as `createsuperuser` asks for."""
        fields = {"role": User.Role.SUPERADMIN, "is_staff": True, "is_superuser": True} | fields
        return self.create_user(email, password, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in: a trader or a member of staff. Never deleted, only disabled."""

    class Role(models.TextChoices):
        TRADER = "trader", "Trader"
        SUPERADMIN = "superadmin", "Super administrator"
        ADMIN = "admin", "Administrator"
        DEALER = "dealer", "Dealer"
        SUPPORT = "support", "Support"
        AUDITOR = "auditor", "Auditor (read only)"

    email = LoginEmailField("e-mail", max_length=254, unique=True)
    display_name = models.CharField(max_length=80, blank=True, help_text="Staff only: never a client's name.")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.TRADER, db_index=True)
    is_staff = models.BooleanField("staff", default=False, help_text="May open the admin.")
    is_active = models.BooleanField("active", default=True, help_text="Disabled users keep their history.")
    token_version = models.PositiveIntegerField(
        default=1, editable=False, help_text="Tokens of an older version are refused."
    )
    password_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["email"]
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower(F("email"))), name="user_email_lower_case"),
            models.CheckConstraint(condition=~Q(role="trader", is_staff=True), name="user_trader_not_staff"),
        ]

    def __str__(self) -> str:
        return str(self.email) if self.is_staff else f"user {self.pk}"  # a trader's address is personal


class RefreshToken(models.Model):
    """
    One refresh token, stored as a hash. The tokens of one login form a family that is revoked as a whole.
    """

    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    parent = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="successor"
    )
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was exchanged for its successor."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    proved_at = models.DateTimeField(
        "second factor", null=True, blank=True, help_text="When the login was opened with a second factor."
    )

    class Meta:
        ordering = ["-issued_at"]

    def __str__(self) -> str:
        return f"token {self.pk} of user {self.user_id}"
