"""
What a large house has after a year, for lists: clients, 1,000,000 deals, their orders, events and ledger
lines, a staff log, fund operations, approvals, reviews, records of risk. All of it is written within the
database, without triggers and checks, in the proportions of a broker's books; nothing of it verifies.
"""

import time

import psycopg

from tests.perf import large_house
from tests.perf.broker import Broker, Say

DEALS = 1_000_000
STAFF = 20
DESK_GROUP = "large-desk"  # a twentieth of the house
SMALL_GROUP = "bench"  # the traders' accounts, without deals of their own
USERS = f"""
    INSERT INTO accounts_user (password, is_superuser, email, display_name, role, is_active, is_staff,
                               token_version, password_changed_at, created_at)
    SELECT '!', false, 'client' || n || '@lists.example', '', 'trader', n %% 50 <> 0, false, 1, now(),
           now() - n * interval '5 minutes' FROM generate_series(1, %(accounts)s) n
    UNION ALL
    SELECT '!', false, 'staff' || n || '@lists.example', '', 'dealer', true, true, 1, now(), now()
    FROM generate_series(1, {STAFF}) n
"""
CLIENTS = """
    INSERT INTO accounts_client (id, user_id, country, kyc_status, created_at, first_name_sealed,
        last_name_sealed, email_sealed, phone_sealed, address_sealed, birth_date_text_sealed,
        document_number_sealed, last_name_hash, full_name_hash, email_hash, phone_hash,
               document_number_hash)
    SELECT gen_random_uuid(), id, (ARRAY['DE', 'FR', 'JP', 'BR', 'ZA'])[1 + id %% 5],
           (ARRAY['verified', 'verified', 'verified', 'verified', 'pending', 'none', 'rejected', 'expired'])
               [1 + id %% 8],
           created_at, '', '', '', '', '', '', '', left(md5('name' || id %% 5000), 32), '',
           left(md5(email), 32), '', ''
    FROM accounts_user WHERE email LIKE 'client%%@lists.example'
"""
OWNERS = """
    UPDATE accounts_tradingaccount a
    SET client_id = c.id, opened_at = c.created_at,
        status = (ARRAY['active', 'active', 'active', 'close_only', 'disabled'])
                     [CASE WHEN c.n %% 20 < 3 THEN 3 + c.n %% 20 ELSE 1 END],
        group_id = CASE WHEN c.n %% 20 = 7 THEN %(desk)s ELSE a.group_id END
    FROM (SELECT id, created_at, row_number() OVER (ORDER BY user_id) n FROM accounts_client
          WHERE email_hash <> '') c
    WHERE a.login = 50000000 + c.n
"""
ORDERS = """
    INSERT INTO trading_order (id, account_id, symbol_id, client_order_id, side, type, status, volume,
        filled_volume, price, average_price, reject_reason, comment, created_at, updated_at, reason,
        time_in_force, terms)
    SELECT nextval('trading_ticket'), a.id, s.id, 'list-' || n,
           CASE WHEN n %% 2 = 0 THEN 'buy' ELSE 'sell' END,
           CASE WHEN n %% 10 = 3 THEN 'limit' WHEN n %% 1000 = 5 THEN 'stop_limit' ELSE 'market' END,
           CASE WHEN n %% 21 > 0 THEN 'filled' WHEN n %% 5 = 1 THEN 'working' WHEN n %% 5 = 2 THEN
                  'canceled'
                WHEN n %% 5 = 3 THEN 'expired' ELSE 'rejected' END,
           0.10, CASE WHEN n %% 21 > 0 THEN 0.10 ELSE 0 END, 1.1, 1.1, '', '',
           now() - (%(orders)s - n) * interval '20 seconds', now(), 'client', 'gtc', ''
    FROM generate_series(1, %(orders)s) n
    JOIN accounts_tradingaccount a ON a.login = 50000001 + n::bigint * 7919 %% (%(accounts)s - 1)
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM market_symbol) s ON s.place = n %% 5
    ORDER BY n
"""
DEALS_OF_ORDERS = """
    INSERT INTO trading_deal (id, order_id, account_id, symbol_id, position_id, entry, side, volume, price,
        profit, commission, swap, markup, raw_bid, raw_ask, client_bid, client_ask, quote_at, profit_rate,
        margin_rate, rule, terms_version, book, created_at)
    SELECT nextval('trading_ticket'), id, account_id, symbol_id, id,
           CASE WHEN id %% 100000 = 3 THEN 'inout' WHEN id %% 2 = 0 THEN 'in' ELSE 'out' END, side,
                  volume, 1.1,
           0, 0, 0, 0, 1.1, 1.1, 1.1, 1.1, created_at, 1, 1, 'none', 1, 'b', created_at
    FROM trading_order WHERE client_order_id LIKE 'list-%%' AND status = 'filled' ORDER BY id
"""
EVENTS = """
    INSERT INTO accounts_accountevent
        (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
    SELECT account_id, 1000 + row_number() OVER (PARTITION BY account_id ORDER BY id),
           CASE WHEN status = 'filled' THEN 'order_filled' ELSE 'order_rejected' END, created_at,
           gen_random_uuid(), '', 'system:bench', '', '{"order": {"id": 1, "status": "filled"}}'
    FROM trading_order WHERE client_order_id LIKE 'list-%%' ORDER BY id
"""
LINES = """
    INSERT INTO accounts_ledgerline (event_id, account_id, ledger, amount, currency, at)
    SELECT e.id, e.account_id, v.ledger, v.amount, 'USD', e.at
    FROM accounts_accountevent e, (VALUES ('client', -1.25), ('commission', 1.25)) v(ledger, amount)
    WHERE e.actor = 'system:bench' AND e.type = 'order_filled' ORDER BY e.id
"""
STAFF_LOG = """
    INSERT INTO audit_staffaction (at, actor, user_id, ip, request_id, operation, target_type, target_id,
        target_label, group_id, account_id, reason, before, after, outcome, detail)
    SELECT o.created_at, 'staff:user:' || u.id, u.id, '10.0.0.1', md5(n::text),
           (ARRAY['trading.close_position', 'accounts.change_client', 'groups.change_tradinggroup'])[1 +
                  n %% 3],
           'trading.position', o.id::text, '#' || o.id, a.group_id, a.id, 'The client asked for it',
           '{"volume": "0.10"}', '{"volume": "0"}', CASE WHEN n %% 50 = 0 THEN 'refused' ELSE 'done' END, ''
    FROM (SELECT *, row_number() OVER (ORDER BY id) n FROM trading_order
          WHERE client_order_id LIKE 'list-%%' AND id %% 4 = 0) o
    JOIN accounts_tradingaccount a ON a.id = o.account_id
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM accounts_user
          WHERE email LIKE 'staff%%@lists.example') u ON u.place = o.n %% %(staff)s ORDER BY o.id
"""
APPROVALS = """
    INSERT INTO audit_approval (id, kind, content, content_hash, summary, group_id, account_id, maker_id,
        maker, reason, created_at, expires_at, status, checker_id, checker, checked_at, check_reason,
               outcome)
    SELECT gen_random_uuid(), 'funds.post', '{}', '', 'Deposit of 5,000 USD', group_id, account_id, user_id,
           actor, reason, at, at + interval '1 day', CASE WHEN id %% 1000 = 0 THEN 'pending' ELSE
                  'executed' END,
           user_id + 1, actor, at, '', '{}'
    FROM audit_staffaction WHERE actor LIKE 'staff:user:%%' AND id %% 5 = 0
"""
FUNDS = """
    INSERT INTO funds_fundoperation (account_id, kind, amount, currency, reference, comment, status,
           by_client,
        requested_by_id, requested_at, reason, event_seq, decided_at, reject_reason, message)
    SELECT account_id, CASE WHEN n %% 3 = 0 THEN 'withdrawal' ELSE 'deposit' END,
           CASE WHEN n %% 3 = 0 THEN -100 ELSE 100 END, 'USD', 'list-' || n, '',
           CASE WHEN n %% 500 = 0 THEN 'requested' WHEN n %% 20 = 1 THEN 'rejected' ELSE 'posted' END,
           n %% 2 = 0, user_id, at, '', n, at, '', ''
    FROM (SELECT *, row_number() OVER (ORDER BY id) n FROM audit_staffaction
          WHERE actor LIKE 'staff:user:%%') entry
"""
STEPS = """
    INSERT INTO funds_fundstep (at, kind, actor, reason, detail, operation_id)
    SELECT requested_at, v.kind, 'staff:user:1', '', '', o.id
    FROM funds_fundoperation o, (VALUES ('requested'), ('posted')) v(kind) WHERE o.reference LIKE 'list-%%'
"""
RISKS = """
    INSERT INTO risk_accountrisk (account_id, seq, equity, margin, level_pct, peak_equity, peak_at, day,
        day_start_equity, day_low_equity, day_high_equity, used_credit, used_credit_max, updated_at)
    SELECT s.account_id, s.seq, s.balance, s.margin,
           CASE WHEN s.margin > 0 THEN s.balance * 100 / s.margin END, s.balance, now(), current_date,
           s.balance, s.balance, s.balance, 0, 0, now()
    FROM accounts_accountstate s JOIN accounts_tradingaccount a ON a.id = s.account_id
    WHERE a.login > 50000000
"""
RISK_DAYS = """
    INSERT INTO risk_accountriskday (account_id, date, equity_start, equity_low, equity_high, equity_end,
        peak_equity, orders, orders_rejected, volume, used_credit_max, margin_calls, liquidations)
    SELECT account_id, current_date - n, equity, equity, equity, equity, equity, 3, 0, 0.3, 0, 0, 0
    FROM risk_accountrisk, generate_series(1, 5) n WHERE account_id %% 2 = 0
"""
MARGIN_CALLS = """
    INSERT INTO risk_margincall (account_id, called_at, level_pct, equity, margin, called_seq, cleared_at,
        cleared_level_pct, cleared_seq)
    SELECT account_id, now() - account_id * interval '1 minute', 90, equity, margin, 1,
           CASE WHEN account_id %% 50 = 0 THEN NULL ELSE now() END, 120, 2
    FROM risk_accountrisk WHERE account_id %% 2 = 0
"""
LIQUIDATIONS = """
    INSERT INTO risk_liquidation (account_id, group_id, event_id, at, rule, cause, stop_out_pct,
           equity_before,
        margin_before, level_before_pct, equity_after, margin_after, level_after_pct, orders_canceled,
        positions_closed, profit, credit_used, compensation, is_complete, fence, dossier)
    SELECT r.account_id, a.group_id, r.account_id, r.updated_at - r.account_id * interval '1 minute',
           'largest_loss', 'level', 50, 10, 30, 33, 10, 0, NULL, 0, 1, -10, 0, 0, true, 1, ''
    FROM risk_accountrisk r JOIN accounts_tradingaccount a ON a.id = r.account_id WHERE r.account_id %% 4
           = 0
"""
ALARMS = """
    INSERT INTO risk_riskalarm (kind, severity, subject, message, detail, raised_at, last_at, count,
        acknowledged_by, cleared_at, account_id, group_id)
    SELECT 'margin_call', 'warning', 'list-' || r.account_id, 'near', '{}',
           now() - r.account_id * interval '1 minute', now(), 1, '',
           CASE WHEN r.account_id %% 200 = 0 THEN NULL ELSE now() END, r.account_id, a.group_id
    FROM risk_accountrisk r JOIN accounts_tradingaccount a ON a.id = r.account_id WHERE r.account_id %% 2
           = 0
"""
REVIEWS = """
    INSERT INTO accounts_kycreview (client_id, submitted_at, decision, decided_by_id, decided_at, reason)
    SELECT c.id, c.created_at, CASE WHEN c.kyc_status = 'pending' THEN '' ELSE 'verified' END,
           CASE WHEN c.kyc_status = 'pending' THEN NULL ELSE c.user_id END,
           CASE WHEN c.kyc_status = 'pending' THEN NULL ELSE c.created_at END, ''
    FROM accounts_client c WHERE c.kyc_status <> 'none' AND c.email_hash <> '';
"""
DOCUMENTS = """
    INSERT INTO accounts_kycdocument (id, kind, country, media_type, size_bytes, uploaded_at, client_id,
        uploaded_by_id)
    SELECT gen_random_uuid(), 'passport', country, 'image/png', 1000, created_at, id, user_id
    FROM accounts_client WHERE kyc_status <> 'none' AND email_hash <> ''
"""
TOKENS = """
    INSERT INTO accounts_refreshtoken (family, token_hash, issued_at, expires_at, user_id)
    SELECT gen_random_uuid(), md5(u.id || '-' || n), made, made + interval '7 days', u.id
    FROM accounts_user u, generate_series(1, 3) n,
        LATERAL (SELECT now() - n * interval '1 hour' - u.id * interval '1 second' AS made) m
    WHERE u.email LIKE 'client%%@lists.example'
"""
CHANGES = """
    INSERT INTO auditlog_logentry (object_pk, object_id, object_repr, action, changes, timestamp,
        content_type_id, changes_text)
    SELECT n::text, n, 'large-house ' || n, 1, '{"leverage_max": ["100", "50"]}',
           now() - n * interval '1 minute', (SELECT min(id) FROM django_content_type), ''
    FROM generate_series(1, 200000) n
"""
SWAPS = """
    INSERT INTO trading_swapcharge (event_id, position_id, date, rolled_at, kind, side, volume, mode, value,
        multiplier, rate, amount, is_settled, terms_version, account_id, symbol_id)
    SELECT id, id, opened_at::date, now() - (id %% 1000000) * interval '20 seconds', 'swap', side, volume,
           'points', 1, 1, 1, -0.35, true, 1, account_id, symbol_id
    FROM trading_position
"""
CANDLES = """
    INSERT INTO market_candle (symbol_id, interval, opened_at, open, high, low, close, ticks)
    SELECT s.id, '1m', now() - n * interval '1 minute', 1, 1, 1, 1, 5
    FROM market_symbol s, generate_series(1, 10000) n
"""
SIGN_INS = """
    INSERT INTO axes_accesslog (user_agent, ip_address, username, http_accept, path_info, attempt_time,
        session_hash)
    SELECT 'browser', '10.0.0.1', 'staff' || n %% 20 || '@lists.example', '', '/', now() - n * interval
           '1 minute',
           '' FROM generate_series(1, 100000) n
"""
SESSIONS = """
    INSERT INTO accounts_staffsession (session_key, ip, user_agent, started_at, seen_at, ended_at, "end",
        user_id)
    SELECT md5(u.id || '-' || n), '10.0.0.1', 'browser', now() - n * interval '1 hour', now(),
           now(), 'signed_out', u.id
    FROM accounts_user u, generate_series(1, 2000) n WHERE u.email LIKE 'staff%%@lists.example'
"""
CHECKPOINTS = """
    INSERT INTO audit_checkpoint (log, number, form, tree_size, count, root, peaks, previous, first_xact,
        first_id, last_xact, last_id, entries_hash, records, horizon_at, signed_at, key_id, signature)
    SELECT 'lists', n, 1, n, 1, '', '', '', n, n, n, n, '', '', now(), now() - n * interval '10 seconds',
           '', ''
    FROM generate_series(1, 200000) n
"""
IN_ORDER = (
    USERS,
    CLIENTS,
    OWNERS,
    ORDERS,
    DEALS_OF_ORDERS,
    EVENTS,
    LINES,
    STAFF_LOG,
    APPROVALS,
    FUNDS,
    STEPS,
    RISKS,
    RISK_DAYS,
    MARGIN_CALLS,
    LIQUIDATIONS,
    ALARMS,
    REVIEWS,
    DOCUMENTS,
    TOKENS,
    CHANGES,
    SWAPS,
    CANDLES,
    SIGN_INS,
    SESSIONS,
    CHECKPOINTS,
)


def fill(broker: Broker, say: Say) -> None:
    """Give the house its past."""
    from apps.groups.models import TradingGroup
    from rtx.local.postgres import SUPERUSER

    postgres = broker.stack.postgres
    assert postgres is not None
    desk, _ = TradingGroup.objects.get_or_create(name=DESK_GROUP, defaults={"leverage_max": 100})
    started = time.perf_counter()
    given = {
        "accounts": large_house.ACCOUNTS,
        "orders": DEALS * 21 // 20 + 1,
        "staff": STAFF,
        "desk": desk.pk,
    }
    with psycopg.connect(postgres.url(role=SUPERUSER), autocommit=True) as house:
        house.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        for statement in IN_ORDER:
            house.execute(statement, given)
        house.execute("VACUUM ANALYZE")
    say(f"  {DEALS:,} deals and what goes with them made in {time.perf_counter() - started:.0f} s")
