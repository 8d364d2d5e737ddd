"""Schedules of the workers (celery-beat)."""

from django_celery_beat.models import IntervalSchedule

PAGES = """
                                          superadmin admin dealer support auditor
django_celery_beat.periodictask     house vacd       vacd  -      -       v
django_celery_beat.intervalschedule house vacd       vacd  -      -       v
django_celery_beat.crontabschedule  house vacd       vacd  -      -       v
django_celery_beat.clockedschedule  house vacd       vacd  -      -       v
django_celery_beat.solarschedule    house vacd       vacd  -      -       v
"""

ACTIONS = """
                                              superadmin admin dealer support auditor
django_celery_beat.periodictask disable_tasks x          x     -      -       -
django_celery_beat.periodictask enable_tasks  x          x     -      -       -
django_celery_beat.periodictask run_tasks     x          x     -      -       -
"""

INLINES = """
                                                superadmin admin dealer support auditor
django_celery_beat.clockedschedule  TasksInline v          v     -      -       v
django_celery_beat.crontabschedule  TasksInline v          v     -      -       v
django_celery_beat.intervalschedule TasksInline v          v     -      -       v
django_celery_beat.solarschedule    TasksInline v          v     -      -       v
"""

LOOKUPS = """
                                         superadmin admin dealer support auditor
django_celery_beat.periodictask clocked  x          x     -      -       x
django_celery_beat.periodictask crontab  x          x     -      -       x
django_celery_beat.periodictask interval x          x     -      -       x
django_celery_beat.periodictask solar    x          x     -      -       x
"""

ROWS = {
    "django_celery_beat.periodictask": lambda side: {
        "interval": IntervalSchedule.objects.create(every=1, period="hours"),
        "task": "apps.market.tasks.build_candles",
    },
    "django_celery_beat.solarschedule": lambda side: {"event": "sunrise", "latitude": 1, "longitude": 1},
}
