"""Forms of users and staff access: who may set what. A service sets passwords, never a form's `save`."""

from ipaddress import ip_network
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.forms import AdminOwnPasswordChangeForm, AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.accounts.forms.reasons import ReasonForm
from apps.accounts.models import AllowedNetwork, ReachGrant, User
from apps.accounts.permissions import may_manage
from apps.accounts.selectors import networks
from apps.accounts.services import users
from rtx.kernel import clock
from rtx.kernel.admin_actions import OperatorForm
from rtx.kernel.staff_log import REASON_FIELD


class UserForm(ReasonForm, forms.ModelForm):
    """A user's record without role, password, token version and dates."""

    class Meta:
        model = User
        fields = ["email", "display_name", "is_active"]


NOTHING_CHOSEN = ("", "---------")  # no role is given because it happened to stand first


class RoleForm(OperatorForm):
    """Another role for a member of staff: one that whoever gives it may give."""

    role = forms.ChoiceField(choices=User.Role.choices, widget=UnfoldAdminSelectWidget)

    def offer_to(self, user: Any) -> None:
        """Offer the roles that this person may give."""
        field: Any = self.fields["role"]
        field.choices = roles_offered(user)


def roles_offered(user: Any) -> list[tuple[str, str]]:
    """Return the choices of a field in which somebody gives a role: first that none was chosen."""
    return [NOTHING_CHOSEN, *roles_given_by(user)]


def roles_given_by(user: Any) -> list[tuple[str, str]]:
    """Return the roles of staff that somebody may give, alone or together with a second person."""
    own = User.Role.SUPERADMIN if user.is_superuser else user.role
    given = [role for role in User.Role if role != User.Role.TRADER and may_manage(own, role)]
    return [(role.value, str(role.label)) for role in given]


class NewUserForm(ReasonForm, UserCreationForm):
    """A new member of staff with a first password."""

    class Meta:
        model = User
        fields = ["email", "display_name", "role"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


class UserPasswordForm(ReasonForm, AdminPasswordChangeForm):
    """A new password for a user, saved by the service that also ends the user's logins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)  # who shall not log in is disabled

    def save(self, commit: bool = True) -> User:
        """Hand the password to the service."""
        user: User = self.user
        users.set_password(user_id=user.pk, password=self.cleaned_data["password1"])
        user.refresh_from_db()
        return user


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """The person's own new password, saved by the service that also ends their other logins."""

    def save(self, commit: bool = True) -> User:
        """Hand the password to the service."""
        user: User = self.user
        users.set_password(
            user_id=user.pk, password=self.cleaned_data["new_password1"], keeps_sessions=True
        )  # the page ends the others
        user.refresh_from_db()  # the session goes on under the new password
        return user


class AllowedNetworkForm(ReasonForm, forms.ModelForm):
    """Where staff may come from; who saves it must still be let in afterwards."""

    request: HttpRequest

    class Meta:
        model = AllowedNetwork
        fields = ["network", "user", "note", "until"]

    def clean_network(self) -> str:
        """An address or a network, as it is compared."""
        try:
            return str(ip_network(str(self.cleaned_data["network"]).strip(), strict=False))
        except ValueError:
            raise ValidationError("An address or a network, such as 203.0.113.0/24.") from None

    def clean(self) -> dict[str, Any]:
        """Refuse what would lock out the person who saves it."""
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        until = data.get("until")
        if until is not None and until <= clock.now():
            raise ValidationError({"until": "This lies in the past."})
        if not may_list(self.request.user, data.get("user")):
            raise ValidationError(
                "Only a super administrator says where all staff, or staff of your rank and above, come from."
            )
        applying = networks.listed(user_id=self.request.user.pk or 0, but=[self.instance.pk or 0])
        if data.get("user") in (None, self.request.user):
            applying.append(data["network"])
        if not networks.contains(applying, self.request.META.get("REMOTE_ADDR", "")):
            raise ValidationError(
                "This would lock you out: add the network you come from, "
                f"{self.request.META.get('REMOTE_ADDR', '')}, first."
            )
        return data


def may_list(user: Any, whom: User | None) -> bool:
    """
    Tell whether somebody may say where a member of staff (None: all) comes from: themselves, and those whom
    they manage. All staff are also those whom they do not.
    """
    role = User.Role.SUPERADMIN if user.is_superuser else user.role
    if whom is not None and whom.pk == user.pk:
        return True
    return may_manage(role, User.Role.SUPERADMIN if whom is None or whom.is_superuser else whom.role)


class ReachGrantForm(forms.ModelForm):
    """Reach for one member of staff or one staff group."""

    request: HttpRequest

    class Meta:
        model = ReachGrant
        fields = ["user", "staff_group", "trading_group", "until", "reason"]

    def clean(self) -> dict[str, Any]:
        """One holder, whom the person who gives it may manage."""
        data: dict[str, Any] = super().clean() or {}
        data[REASON_FIELD] = data.get("reason", "")  # the grant's own reason is the log's too
        holder, staff_group = data.get("user"), data.get("staff_group")
        giver: Any = self.request.user
        if self.errors:
            return data
        if (holder is None) == (staff_group is None):
            raise ValidationError("Choose a member of staff or a staff group.")
        if not giver.is_superuser:
            if holder is None:
                raise ValidationError("Only super administrators give reach to staff groups.")
            if holder.pk == giver.pk or not may_manage(giver.role, holder.role):
                raise ValidationError({"user": "You may not give reach to this member of staff."})
        until = data.get("until")
        if until is not None and until <= clock.now():
            raise ValidationError({"until": "This lies in the past."})
        return data
