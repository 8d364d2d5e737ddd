"""
What the database itself refuses: a posting above the threshold on one person's word, a posting that is not
what its approval says, and a looser policy without a second person. Steps are append-only for the
application's role.
"""

from django.conf import settings
from django.db import migrations

# The strictest of the policies of the account's group and of those it left on this day: a move does not help.
LIMIT = """
CREATE INDEX funds_moves ON accounts_accountevent (account_id, at) WHERE type = 'account_moved';
CREATE FUNCTION funds_limit(account bigint, at_ timestamptz)
RETURNS TABLE (client uuid, currency text, threshold numeric, since timestamptz)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT a.client_id, a.currency, p.threshold, p.created_at
    FROM accounts_tradingaccount a, funds_fundpolicy p
    WHERE a.id = account AND p.threshold IS NOT NULL AND (
        p.group_id = a.group_id OR p.group_id IN (
            SELECT (e.payload -> 'house' ->> 'from_group_id')::bigint
            FROM accounts_accountevent e
            WHERE e.account_id = account AND e.type = 'account_moved'
              AND e.at >= date_trunc('day', at_, 'UTC')
        )
    )
    ORDER BY p.threshold, p.created_at LIMIT 1
$$
"""

ALONE_ON_DAY = """
CREATE FUNCTION funds_alone_on_day(client uuid, wanted text, at_ timestamptz, since timestamptz)
RETURNS numeric LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce(sum(abs((e.payload ->> 'amount')::numeric)), 0)
    FROM accounts_tradingaccount a
    JOIN accounts_accountevent e ON e.account_id = a.id AND e.type = 'balance_changed'
    WHERE a.client_id = client AND a.currency = wanted
      AND e.at >= greatest(since, date_trunc('day', at_, 'UTC'))
      AND e.at < date_trunc('day', at_, 'UTC') + interval '24 hours'
      AND NOT EXISTS (
          SELECT FROM audit_approval p
          WHERE p.id = e.command_id AND p.kind = 'funds.post' AND p.status = 'executed'
      )
$$
"""

# Deferred: by then the batch has written its ledger lines and consumed its approval. One lock per client and
# currency lets two processes' postings see each other.
CHECK_POSTING = """
CREATE FUNCTION funds_check_posting() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    told numeric := (NEW.payload ->> 'amount')::numeric;
    moved numeric;
    holder record;
    word record;
BEGIN
    SELECT p.*, p.content::jsonb AS said, p.xmin = pg_current_xact_id()::xid AS is_now INTO word
    FROM audit_approval p WHERE p.id = NEW.command_id AND p.kind = 'funds.post';
    IF FOUND THEN
        IF word.status = 'executed' AND word.is_now AND word.expires_at > clock_timestamp()
           AND word.checker_id IS NOT NULL AND word.checker_id <> word.maker_id
           AND (word.said ->> 'account_id')::bigint = NEW.account_id
           AND word.said ->> 'kind' = NEW.payload ->> 'kind'
           AND (word.said ->> 'amount')::numeric = told
           AND word.said ->> 'reference' = NEW.payload ->> 'reference'
           AND word.said ->> 'comment' = NEW.payload ->> 'comment' THEN
            PERFORM funds_check_lines(NEW.id, told);
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'This posting is not what approval % lets happen.', word.id
            USING ERRCODE = 'RX409', CONSTRAINT = 'approval_mismatch';
    END IF;

    SELECT * INTO holder FROM funds_limit(NEW.account_id, NEW.at);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM funds_check_lines(NEW.id, told);
    IF abs(extract(epoch FROM NEW.at - clock_timestamp())) > 600 THEN
        RAISE EXCEPTION 'A posting bears the time at which it is made.'
            USING ERRCODE = 'RX409', CONSTRAINT = 'posting_backdated';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(holder.client || holder.currency, 0));
    IF funds_alone_on_day(holder.client, holder.currency, NEW.at, holder.since) > holder.threshold THEN
        RAISE EXCEPTION 'This exceeds what one person may post for a client on one day.'
            USING ERRCODE = 'RX409', CONSTRAINT = 'second_person_needed';
    END IF;
    RETURN NULL;
END
$$
"""

CHECK_LINES = """
CREATE FUNCTION funds_check_lines(event bigint, told numeric) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF told IS DISTINCT FROM (
        SELECT coalesce(sum(l.amount), 0) FROM accounts_ledgerline l
        WHERE l.event_id = event AND l.ledger IN ('client', 'credit')
    ) THEN
        RAISE EXCEPTION 'The ledger lines of a posting are not its amount.'
            USING ERRCODE = 'RX409', CONSTRAINT = 'posting_differs';
    END IF;
END
$$
"""

ON_EVENTS = """
CREATE CONSTRAINT TRIGGER funds_posting_checked AFTER INSERT ON accounts_accountevent
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.type = 'balance_changed')
EXECUTE FUNCTION funds_check_posting()
"""

CHECK_POLICY = """
CREATE FUNCTION funds_check_policy() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    wanted numeric;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        wanted := NEW.threshold;
        IF (OLD.group_id, OLD.created_at) IS DISTINCT FROM (NEW.group_id, NEW.created_at) THEN
            RAISE EXCEPTION 'A policy stays with its group and its beginning.';
        END IF;
        IF OLD.threshold IS NULL OR wanted <= OLD.threshold THEN
            RETURN NEW;
        END IF;
    ELSIF OLD.threshold IS NULL THEN
        RETURN OLD;
    END IF;
    IF NOT EXISTS (
        SELECT FROM audit_approval p
        WHERE p.kind = 'funds.policy' AND p.status = 'executed' AND p.xmin = pg_current_xact_id()::xid
          AND p.expires_at > clock_timestamp()
          AND p.checker_id IS NOT NULL AND p.checker_id <> p.maker_id
          AND TG_OP = 'UPDATE'
          AND (p.content::jsonb ->> 'group_id')::bigint = OLD.group_id
          AND (p.content::jsonb ->> 'threshold')::numeric IS NOT DISTINCT FROM wanted
          AND (p.content::jsonb ->> 'threshold_before')::numeric = OLD.threshold
    ) THEN
        RAISE EXCEPTION 'A higher threshold needs a second person.'
            USING ERRCODE = 'RX409', CONSTRAINT = 'second_person_needed';
    END IF;
    RETURN NEW;
END
$$
"""

ON_POLICIES = """
CREATE TRIGGER funds_policy_checked BEFORE UPDATE OR DELETE ON funds_fundpolicy
FOR EACH ROW EXECUTE FUNCTION funds_check_policy()
"""

KEEP_POLICIES = """
CREATE FUNCTION funds_keep_policies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'fund policies are kept';
END
$$;
CREATE TRIGGER funds_policies_kept BEFORE TRUNCATE ON funds_fundpolicy
FOR EACH STATEMENT EXECUTE FUNCTION funds_keep_policies()
"""

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON funds_fundstep FROM {role};
        REVOKE DELETE, TRUNCATE ON funds_fundoperation, funds_fundpolicy FROM {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)

BACK = """
DROP TRIGGER funds_posting_checked ON accounts_accountevent;
DROP TRIGGER funds_policy_checked ON funds_fundpolicy;
DROP TRIGGER funds_policies_kept ON funds_fundpolicy;
DROP FUNCTION funds_keep_policies, funds_check_policy, funds_check_posting, funds_check_lines,
    funds_alone_on_day, funds_limit;
DROP INDEX funds_moves
"""


class Migration(migrations.Migration):
    dependencies = [
        ("funds", "0001_initial"),
        ("accounts", "0004_money_index"),
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(LIMIT, migrations.RunSQL.noop),
        migrations.RunSQL(ALONE_ON_DAY, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_LINES, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_POSTING, migrations.RunSQL.noop),
        migrations.RunSQL(ON_EVENTS, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_POLICY, migrations.RunSQL.noop),
        migrations.RunSQL(ON_POLICIES, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP_POLICIES, BACK),
        migrations.RunSQL(REVOKE, migrations.RunSQL.noop),
    ]
