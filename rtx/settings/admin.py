"""Look and navigation of the admin (django-unfold). No secrets, no behavior."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _page(title: str, icon: str, name: str, right: str) -> dict[str, Any]:
    """Return one entry that leads to a page that is no table."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}"),
        "permission": lambda request: request.user.has_perm(right),
    }


def _item(title: str, icon: str, page: str, permission: str = "") -> dict[str, Any]:
    """Return one entry of the navigation; `page` is app_model, seen by staff with the right to view it."""
    app, _underscore, model = page.partition("_")
    right = permission or f"{app}.view_{model}"
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{page}_changelist"),
        "permission": lambda request: request.user.has_perm(right),
    }


NAVIGATION = [
    {"items": [{"title": _("Dashboard"), "icon": "monitoring", "link": reverse_lazy("admin:index")}]},
    {
        "title": _("Trading"),
        "separator": True,
        "items": [
            _item("Accounts", "account_balance_wallet", "accounts_tradingaccount"),
            _item("Positions", "stacked_line_chart", "trading_position"),
            _item("Orders", "receipt_long", "trading_order"),
            _item("Deals", "handshake", "trading_deal"),
            _item("Rollovers", "update", "trading_rolloverday"),
            _item("Swaps", "bedtime", "trading_swapcharge"),
        ],
    },
    {
        "title": _("Funds"),
        "separator": True,
        "items": [
            _item("Fund operations", "payments", "funds_fundoperation"),
            _item("Fund policies", "policy", "funds_fundpolicy"),
            _item("Fund steps", "timeline", "funds_fundstep"),
        ],
    },
    {
        "title": _("Risk"),
        "separator": True,
        "items": [
            _page("Overview", "shield", "risk_overview", "risk.view_accountrisk"),
            _page("Exposure", "donut_large", "risk_exposure", "trading.view_position"),
            _page("What-if", "science", "risk_what_if", "risk.view_accountrisk"),
            _page("Value at risk", "query_stats", "risk_value_at_risk", "risk.view_valueatrisk"),
            _page("Correlations", "grid_on", "risk_heat_map", "risk.view_correlation"),
            _page("Open markets", "storefront", "risk_market_open", "market.view_symbol"),
            _item("Near margin call", "speed", "risk_accountrisk"),
            _item("Margin calls", "campaign", "risk_margincall"),
            _item("Liquidations", "gavel", "risk_liquidation"),
            _item("Waiting liquidations", "hourglass_top", "risk_queuedliquidation"),
            _item("Alarms", "notifications_active", "risk_riskalarm"),
            _item("Kill switches", "emergency_home", "risk_killswitch"),
            _item("Limits", "rule", "risk_risklimit"),
            _item("Trading hours", "avg_pace", "risk_tradinghours"),
            _item("Circuit breakers", "electrical_services", "risk_breaker"),
        ],
    },
    {
        "title": _("Risk records"),
        "separator": True,
        "collapsible": True,
        "items": [
            _item("Breaker states", "toggle_on", "risk_breakerstate"),
            _item("Breaker history", "manage_history", "risk_breakerchange"),
            _item("Account days", "calendar_view_day", "risk_accountriskday"),
            _item("Margin monitor", "monitor_heart", "risk_monitorstatus"),
            _item("Sweeps", "cleaning_services", "risk_sweeprun"),
            _item("Controls version", "numbers", "risk_controlsversion"),
            _item("Pairs of symbols", "compare_arrows", "risk_correlation"),
            _item("Estimates of risk", "bar_chart", "risk_valueatrisk"),
        ],
    },
    {
        "title": _("Books"),
        "separator": True,
        "items": [
            _item("Journal", "history_edu", "accounts_accountevent"),
            _item("Ledger", "balance", "accounts_ledgerline"),
            _item("Account states", "data_table", "accounts_accountstate"),
        ],
    },
    {
        "title": _("People"),
        "separator": True,
        "items": [
            _item("Clients", "groups", "accounts_client"),
            _item("KYC queue", "fact_check", "accounts_kycreview"),
            _item("KYC documents", "id_card", "accounts_kycdocument"),
            _item("Imports", "upload", "accounts_importrun"),
            _item("Users", "badge", "accounts_user"),
            _item("Refresh tokens", "key", "accounts_refreshtoken"),
        ],
    },
    {
        "title": _("CRM"),
        "separator": True,
        "collapsible": True,
        "items": [
            _item("Connections", "hub", "crm_connection"),
            _item("Customers in the CRM", "contacts", "crm_link"),
            _item("Sync runs", "sync", "crm_syncrun"),
            _item("Sync log", "list_alt", "crm_syncentry"),
            _item("Conflicts", "call_split", "crm_conflict"),
            _item("Dead letters", "mark_email_unread", "crm_deadletter"),
            _item("Field mappings", "swap_horiz", "crm_fieldmapping"),
            _item("Calls", "swap_calls", "crm_exchange"),
            _item("Webhooks", "webhook", "crm_webhookdelivery"),
            _item("Webhook events", "notes", "crm_webhookevent"),
        ],
    },
    {
        "title": _("Terms"),
        "separator": True,
        "items": [
            _item("Trading groups", "workspaces", "groups_tradinggroup"),
            _item("Terms per symbol", "tune", "groups_groupsymbol"),
            _item("Margin schedules", "stairs", "groups_marginschedule"),
            _item("Commission tiers", "percent", "groups_commissiontier"),
            _item("Symbols", "candlestick_chart", "market_symbol"),
            _item("Trading sessions", "schedule", "market_tradingsession"),
            _item("Holidays", "event_busy", "market_holiday"),
        ],
    },
    {
        "title": _("Market data"),
        "separator": True,
        "collapsible": True,
        "items": [
            _item("Last quotes", "price_change", "market_lastquote"),
            _item("Feeds", "rss_feed", "market_feedstatus"),
            _item("Candles", "waterfall_chart", "market_candle"),
            _item("Tick days", "calendar_month", "market_tickday"),
            _item("Engine leases", "bolt", "market_enginelease"),
            _item("Session hours", "more_time", "market_sessionhours"),
            _item("Terms version", "numbers", "market_termsversion"),
            {
                **_item("Terms history", "history", "market_configurationchange"),
                "permission": lambda request: request.user.is_superuser,
            },
        ],
    },
    {
        "title": _("Audit"),
        "separator": True,
        "items": [
            _item("Approvals", "how_to_reg", "audit_approval"),
            _item("Staff log", "fact_check", "audit_staffaction"),
            _page("Integrity", "verified_user", "audit_integrity", "audit.view_integritycheck"),
            _item("Checkpoints", "lock", "audit_checkpoint"),
            _item("Checks", "rule", "audit_integritycheck"),
            _item("Requests by key", "key", "audit_staffrequest"),
        ],
    },
    {
        "title": _("Rights and logs"),
        "separator": True,
        "collapsible": True,
        "items": [
            _item("Reach", "travel_explore", "accounts_reachgrant"),
            _item("Allowed networks", "lan", "accounts_allowednetwork"),
            _item("Sessions of staff", "devices", "accounts_staffsession"),
            _item("Staff groups", "shield_person", "auth_group"),
            _item("Rights on rows, staff", "rule_folder", "guardian_userobjectpermission"),
            _item("Rights on rows, staff groups", "folder_shared", "guardian_groupobjectpermission"),
            _item("Permissions", "lock_open", "auth_permission"),
            _item("Change log", "difference", "auditlog_logentry"),
            _item("Saved filters", "filter_alt", "console_savedfilter"),
            _item("Locked sign-ins", "gpp_bad", "axes_accessattempt"),
            _item("Sign-ins", "login", "axes_accesslog"),
            _item("Failed sign-ins", "no_accounts", "axes_accessfailurelog"),
        ],
    },
    {
        "title": _("Schedules"),
        "separator": True,
        "collapsible": True,
        "items": [
            _item(
                "Periodic tasks",
                "task_alt",
                "django_celery_beat_periodictask",
                "django_celery_beat.view_periodictask",
            ),
            _item(
                "Intervals",
                "timer",
                "django_celery_beat_intervalschedule",
                "django_celery_beat.view_intervalschedule",
            ),
            _item(
                "Crontabs",
                "update",
                "django_celery_beat_crontabschedule",
                "django_celery_beat.view_crontabschedule",
            ),
            _item(
                "Once",
                "alarm",
                "django_celery_beat_clockedschedule",
                "django_celery_beat.view_clockedschedule",
            ),
            _item(
                "Solar",
                "wb_sunny",
                "django_celery_beat_solarschedule",
                "django_celery_beat.view_solarschedule",
            ),
        ],
    },
]

UNFOLD = {
    "SITE_TITLE": "RTX",
    "SITE_HEADER": "RTX",
    "SITE_SUBHEADER": _("Broker back-office"),
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "sizes": "any",
            "type": "image/svg+xml",
            "href": lambda request: static("console/favicon.svg"),
        },
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ENVIRONMENT": "apps.console.admin.site.price_mark",
    "DASHBOARD_CALLBACK": "apps.console.admin.site.show_dashboard",
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [
        lambda request: static("console/console.js"),
        lambda request: static("console/find.js"),
    ],
    "ACCOUNT": {
        "navigation": [
            {"title": _("Second factors and sessions"), "link": reverse_lazy("mfa_index")},
            {"title": _("API documentation"), "link": "/api/docs"},
        ],
    },
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.9% .021 166.113)",
            "100": "oklch(95% .052 163.051)",
            "200": "oklch(90.5% .093 164.15)",
            "300": "oklch(84.5% .143 164.978)",
            "400": "oklch(74% .15 163.223)",
            "500": "oklch(62% .13 163)",
            "600": "oklch(52% .105 165)",
            "700": "oklch(44.5% .09 166)",
            "800": "oklch(38% .076 167)",
            "900": "oklch(33% .063 169)",
            "950": "oklch(22% .045 172)",
        },
    },
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {
        "show_search": False,  # it would send what is typed in an address; see apps/console/admin/search.py
        "show_all_applications": False,
        "navigation": NAVIGATION,
    },
}
