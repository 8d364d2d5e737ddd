"""Pages of the task schedules (celery-beat), in the look of all others."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.admin import ClockedScheduleAdmin as BaseClockedScheduleAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as BaseCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BasePeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from rtx.kernel.admin import ConfiguredModelAdmin, ReadOnlyTabularInline

SCHEDULES = (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule)
for model in SCHEDULES:
    admin.site.unregister(model)


class TaskWidget(UnfoldAdminSelectWidget, TaskSelectWidget):
    """The registered tasks as a list to choose from."""


class TaskForm(PeriodicTaskForm):
    """A periodic task; names, arguments and schedule are checked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" in self.fields:
            self.fields["task"].widget = UnfoldAdminTextInputWidget()
            self.fields["regtask"].widget = TaskWidget()


class TasksInline(ReadOnlyTabularInline):
    """The tasks that use a schedule."""

    model = PeriodicTask
    fields = ["name", "task", "enabled"]
    verbose_name_plural = "tasks on this schedule"


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(BasePeriodicTaskAdmin, ConfiguredModelAdmin):
    """What the workers do regularly."""

    form = TaskForm
    change_form_template = None
    date_hierarchy = None
    list_display = ["name", "task", "enabled", "scheduler", "last_run_at", "total_run_count"]
    list_filter = [("enabled", BooleanRadioFilter), ("one_off", BooleanRadioFilter)]
    list_select_related = ["interval", "crontab", "solar", "clocked"]
    search_help_text = "Name or task"
    autocomplete_fields = ["interval", "crontab", "solar", "clocked"]
    fieldsets = [
        (None, {"fields": [("name", "enabled"), ("regtask", "task"), "description"]}),
        (
            "Schedule (exactly one)",
            {
                "fields": [
                    ("interval", "crontab"),
                    ("solar", "clocked"),
                    ("start_time", "one_off"),
                    "last_run_at",
                ]
            },
        ),
        ("Arguments (JSON)", {"fields": [("args", "kwargs")]}),
        (
            "Delivery",
            {
                "fields": [
                    ("queue", "priority"),
                    ("expires", "expire_seconds"),
                    ("exchange", "routing_key"),
                    "headers",
                ]
            },
        ),
    ]
    readonly_fields = ["last_run_at"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer to switch and run tasks to whoever may change them; celery-beat offers it to every reader."""
        return super().get_actions(request) if self.has_change_permission(request) else {}


class ScheduleAdmin(ConfiguredModelAdmin):
    """Base of the kinds of schedules."""

    inlines = [TasksInline]


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ScheduleAdmin):
    """Every so many seconds, minutes, hours or days."""

    list_display = ["__str__", "every", "period"]
    search_fields = ["every", "period"]
    search_help_text = "Number or period"


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(BaseCrontabScheduleAdmin, ScheduleAdmin):
    """At times given as in crontab."""

    inlines = [TasksInline]
    search_fields = ["minute", "hour", "timezone"]
    search_help_text = "Minute, hour or time zone"


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(BaseClockedScheduleAdmin, ScheduleAdmin):
    """Once, at an instant."""

    inlines = [TasksInline]
    search_fields = ["clocked_time"]
    search_help_text = "Date"


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ScheduleAdmin):
    """By the sun; here for completeness."""

    list_display = ["__str__", "event", "latitude", "longitude"]
    search_fields = ["event"]
    search_help_text = "Event"
