"""
Pages of the task schedules (celery-beat), in the look of all others. Tasks are switched and run through
logged operator actions; those that are guarded (see the service) are altered by super administrators alone.
"""

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
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.console.services import schedules
from rtx.kernel.admin import ConfiguredModelAdmin, ReadOnlyTabularInline
from rtx.kernel.admin_actions import Operation, operator_action

CHANGE = "django_celery_beat.change_periodictask"
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
    actions = ["enable_tasks", "disable_tasks", "run_tasks"]  # not celery-beat's own: anybody may call those

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave guarded tasks to super administrators."""
        return bool(super().has_change_permission(request, obj)) and _may_alter(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave guarded tasks to super administrators."""
        return bool(super().has_delete_permission(request, obj)) and _may_alter(request, obj)

    @operator_action("Enable", permission=CHANGE, variant=ActionVariant.DEFAULT)
    def enable_tasks(self, task: PeriodicTask, operation: Operation) -> str:
        """Let a task run by its schedule."""
        schedules.enable(task=task)
        return "enabled"

    @operator_action(
        "Disable",
        permission=CHANGE,
        needs_recent_login=True,
        warning="What is disabled does not run any more, until somebody enables it.",
    )
    def disable_tasks(self, task: PeriodicTask, operation: Operation) -> str:
        """Stop a task."""
        schedules.disable(task=task, actor=operation.actor)
        return "disabled"

    @operator_action("Run now", permission=CHANGE, variant=ActionVariant.DEFAULT)
    def run_tasks(self, task: PeriodicTask, operation: Operation) -> str:
        """Give a task to the workers once."""
        schedules.run_now(task=task)
        return "given to the workers"


def _may_alter(request: HttpRequest, row: Any) -> bool:
    """Tell whether somebody may change this task or schedule, as far as it is guarded."""
    if row is None or request.user.is_superuser:
        return True
    is_guarded = schedules.is_guarded if isinstance(row, PeriodicTask) else schedules.is_guarded_schedule
    return not is_guarded(row)


class ScheduleAdmin(ConfiguredModelAdmin):
    """Base of the kinds of schedules."""

    inlines = [TasksInline]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave schedules of guarded tasks to super administrators."""
        return bool(super().has_change_permission(request, obj)) and _may_alter(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave schedules of guarded tasks to super administrators: the tasks go with them."""
        return bool(super().has_delete_permission(request, obj)) and _may_alter(request, obj)


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
