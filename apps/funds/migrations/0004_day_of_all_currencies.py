"""
A client's day is one, whatever the currencies: each currency's postings count as a share of the threshold that
holds in it, and all shares together stay within the whole.
"""

from django.db import migrations

# What one person posted for the client of this account on this day, by currency; currencies without a threshold
# are left out.
DAY = """
CREATE OR REPLACE FUNCTION funds_day(account bigint, at_ timestamptz)
RETURNS TABLE (currency text, threshold numeric, alone numeric)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH one_each AS (
        SELECT min(x.id) AS id
        FROM accounts_tradingaccount a JOIN accounts_tradingaccount x ON x.client_id = a.client_id
        WHERE a.id = account
        GROUP BY x.currency
    )
    SELECT l.currency, l.threshold, funds_alone_on_day(l.client, l.currency, at_, l.since)
    FROM one_each o, funds_limit(o.id, at_) l
    ORDER BY l.currency
$$
"""

# The shares are added as one exact fraction: a quotient would be rounded. A threshold of zero lets nothing pass.
DAY_EXCEEDS = """
CREATE OR REPLACE FUNCTION funds_day_exceeds(account bigint, at_ timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    used numeric := 0;
    whole numeric := 1;
BEGIN
    FOR part IN SELECT * FROM funds_day(account, at_) LOOP
        CONTINUE WHEN part.alone = 0;
        IF part.threshold = 0 THEN
            RETURN true;
        END IF;
        used := used * part.threshold + part.alone * whole;
        whole := whole * part.threshold;
    END LOOP;
    RETURN used > whole;
END
$$
"""

# As before, but for the day's rule and for the lock: it is the client's now, over all currencies.
CHECK_POSTING = """
CREATE OR REPLACE FUNCTION funds_check_posting() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    told numeric := (NEW.payload ->> 'amount')::numeric;
    holder record;
    word record;
    other text;
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
    IF current_setting('rtx.funds_locked', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('rtx.funds_locked', pg_current_xact_id()::text, true);
        FOR other IN
            SELECT DISTINCT a.client_id::text
            FROM accounts_accountevent e JOIN accounts_tradingaccount a ON a.id = e.account_id
            WHERE e.xact = pg_current_xact_id() AND e.type = 'balance_changed'
            ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended(other, 0));
        END LOOP;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(holder.client::text, 0));
    IF funds_day_exceeds(NEW.account_id, NEW.at) THEN
        RAISE EXCEPTION 'This exceeds what one person may post for a client on one day.'
            USING ERRCODE = 'RX409', CONSTRAINT = 'second_person_needed';
    END IF;
    RETURN NULL;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("funds", "0003_house_policy")]

    operations = [
        migrations.RunSQL(DAY, migrations.RunSQL.noop),
        migrations.RunSQL(DAY_EXCEEDS, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_POSTING, migrations.RunSQL.noop),
    ]
