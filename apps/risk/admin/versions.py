"""The page of what the machinery keeps for itself: how often controls changed."""

from django.contrib import admin

from apps.risk.models import ControlsVersion
from rtx.kernel.admin import ReadOnlyModelAdmin


@admin.register(ControlsVersion)
class ControlsVersionAdmin(ReadOnlyModelAdmin):
    """One row: processes read kill switches, limits, hours and breakers again when it has moved."""

    list_display = ["__str__", "version"]
    search_fields = ["version"]
    fields = ["version"]
