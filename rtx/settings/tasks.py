"""
What the task workers do: in which queue, and by which schedule. A frequent task expires before its next turn.
"""

from typing import Any

from celery.schedules import crontab

# The queues audit, trading and risk have workers of their own: what takes long does not go there.
CELERY_TASK_ROUTES = {
    "apps.audit.tasks.verify": {"queue": "default"},
    "apps.risk.tasks.estimate_*": {"queue": "default"},
    "apps.risk.tasks.watch_seals": {"queue": "default"},  # not by whom it watches
    "apps.audit.tasks.*": {"queue": "audit"},
    "apps.market.tasks.*": {"queue": "market"},
    "apps.trading.tasks.*": {"queue": "trading"},
    "apps.risk.tasks.*": {"queue": "risk"},
    "apps.crm.tasks.*": {"queue": "crm"},
}
CELERY_TASK_QUEUES_NAMES = ["default", "audit", "market", "trading", "risk", "crm"]

# What runs daily or less runs at a time of day: an interval would begin anew with each restart of beat.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "audit-expire-approvals": {
        "task": "apps.audit.tasks.expire_approvals",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "audit-seal": {"task": "apps.audit.tasks.seal", "schedule": 3.0, "options": {"expires": 3}},
    "audit-purge-requests": {
        "task": "apps.audit.tasks.purge_requests",
        "schedule": crontab(hour=2, minute=20),
    },
    "audit-verify": {"task": "apps.audit.tasks.verify", "schedule": crontab(hour=1, minute=30)},
    "market-build-candles": {
        "task": "apps.market.tasks.build_candles",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "market-partitions": {"task": "apps.market.tasks.maintain_tick_partitions", "schedule": 3600.0},
    "market-sync-holidays": {
        "task": "apps.market.tasks.sync_holidays",
        "schedule": crontab(hour=3, minute=10, day_of_week=6),
    },
    "trading-rollover": {
        "task": "apps.trading.tasks.roll_over",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "accounts-purge-tokens": {"task": "apps.accounts.tasks.purge_expired_tokens", "schedule": 3600.0},
    "accounts-tidy-access": {
        "task": "apps.accounts.tasks.tidy_staff_access",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "accounts-imports": {
        "task": "apps.accounts.tasks.carry_out_imports",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "accounts-purge-imports": {"task": "apps.accounts.tasks.purge_imports", "schedule": 3600.0},
    "accounts-expire-kyc": {"task": "apps.accounts.tasks.expire_kyc", "schedule": crontab(hour=0, minute=5)},
    "risk-sweep": {"task": "apps.risk.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "risk-prune-sweeps": {"task": "apps.risk.tasks.prune_sweeps", "schedule": 3600.0},
    "risk-correlations": {
        "task": "apps.risk.tasks.estimate_correlations",
        "schedule": crontab(hour=0, minute=20),
    },
    "risk-value-at-risk": {
        "task": "apps.risk.tasks.estimate_value_at_risk",
        "schedule": crontab(hour=0, minute=40),
    },
    "risk-watch-monitor": {
        "task": "apps.risk.tasks.watch_monitor",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "crm-dispatch": {"task": "apps.crm.tasks.dispatch", "schedule": 1.0, "options": {"expires": 1}},
    "crm-start-runs": {"task": "apps.crm.tasks.start_runs", "schedule": 5.0, "options": {"expires": 5}},
    "crm-take-up-runs": {"task": "apps.crm.tasks.take_up_runs", "schedule": 2.0, "options": {"expires": 2}},
    "crm-purge": {"task": "apps.crm.tasks.purge", "schedule": crontab(hour=2, minute=50)},
    "crm-process-webhooks": {
        "task": "apps.crm.tasks.process_webhooks",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "crm-renew-watches": {
        "task": "apps.crm.tasks.renew_watches",  # calls nobody while the channels last
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "risk-watch-seals": {
        "task": "apps.risk.tasks.watch_seals",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
}
