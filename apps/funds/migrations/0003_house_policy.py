"""
A policy of the house for groups without their own, so that no new group is without a threshold; the strictest
policy over all accounts of the client; the locks of one transaction's postings taken in one order.
"""

from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import rtx.kernel.fields
from django.conf import settings
from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import Now

# A second account of the client in another group does not help, neither does a move a week before.
LIMIT = """
CREATE OR REPLACE FUNCTION funds_limit(account bigint, at_ timestamptz)
RETURNS TABLE (client uuid, currency text, threshold numeric, since timestamptz)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH held AS (
        SELECT x.id, x.group_id
        FROM accounts_tradingaccount a
        JOIN accounts_tradingaccount x ON x.client_id = a.client_id AND x.currency = a.currency
        WHERE a.id = account
    ), seen AS (
        SELECT h.group_id FROM held h
        UNION
        SELECT (e.payload -> 'house' ->> 'from_group_id')::bigint
        FROM held h JOIN accounts_accountevent e ON e.account_id = h.id
        WHERE e.type = 'account_moved' AND e.at >= at_ - interval '7 days'
    ), policies AS (
        SELECT p.threshold, p.created_at
        FROM seen s JOIN funds_fundpolicy p ON p.group_id = s.group_id OR (
            p.group_id IS NULL
            AND NOT EXISTS (SELECT FROM funds_fundpolicy own WHERE own.group_id = s.group_id)
        )
        WHERE p.threshold IS NOT NULL
    )
    SELECT a.client_id, a.currency, min(p.threshold), min(p.created_at)
    FROM accounts_tradingaccount a, policies p
    WHERE a.id = account
    GROUP BY a.client_id, a.currency
$$
"""

# The first posting of a transaction takes the locks of all of them, in one order: two batches with the same
# clients cannot wait for each other. The setting only spares repeats; each posting takes its own lock anyway.
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
            SELECT DISTINCT a.client_id || a.currency
            FROM accounts_accountevent e JOIN accounts_tradingaccount a ON a.id = e.account_id
            WHERE e.xact = pg_current_xact_id() AND e.type = 'balance_changed'
            ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended(other, 0));
        END LOOP;
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

# A new policy goes on where the house's began, a threshold where there was none begins now; looser than what
# held before comes by an approval alone, and for a new policy only afterwards.
CHECK_POLICY = """
CREATE OR REPLACE FUNCTION funds_check_policy() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    held record;
    wanted numeric;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT p.threshold, p.created_at INTO held FROM funds_fundpolicy p
        WHERE p.group_id IS NULL AND p.threshold IS NOT NULL AND NEW.group_id IS NOT NULL;
        IF FOUND THEN
            IF NEW.threshold IS NULL OR NEW.threshold > held.threshold THEN
                RAISE EXCEPTION 'A higher threshold than the house''s needs a second person.'
                    USING ERRCODE = 'RX409', CONSTRAINT = 'second_person_needed';
            END IF;
            NEW.created_at := held.created_at;
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' THEN
        wanted := NEW.threshold;
        IF (OLD.group_id, OLD.created_at) IS DISTINCT FROM (NEW.group_id, NEW.created_at) THEN
            RAISE EXCEPTION 'A policy stays with its group and its beginning.';
        END IF;
        IF OLD.threshold IS NULL AND wanted IS NOT NULL THEN
            NEW.created_at := clock_timestamp();
        END IF;
        IF OLD.threshold IS NULL OR wanted <= OLD.threshold THEN
            RETURN NEW;
        END IF;
    ELSIF OLD.threshold IS NULL AND OLD.group_id IS NOT NULL THEN
        RETURN OLD;
    END IF;
    IF NOT EXISTS (
        SELECT FROM audit_approval p
        WHERE p.kind = 'funds.policy' AND p.status = 'executed' AND p.xmin = pg_current_xact_id()::xid
          AND p.expires_at > clock_timestamp()
          AND p.checker_id IS NOT NULL AND p.checker_id <> p.maker_id
          AND TG_OP = 'UPDATE'
          AND (p.content::jsonb ->> 'group_id')::bigint IS NOT DISTINCT FROM OLD.group_id
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
DROP TRIGGER funds_policy_checked ON funds_fundpolicy;
CREATE TRIGGER funds_policy_checked BEFORE INSERT OR UPDATE OR DELETE ON funds_fundpolicy
FOR EACH ROW EXECUTE FUNCTION funds_check_policy()
"""


def create_house_policy(apps, schema_editor):
    """Write the house's policy, with the threshold that the settings name."""
    named = settings.FUND_HOUSE_THRESHOLD
    threshold = Decimal(named) if named else None
    apps.get_model("funds", "FundPolicy").objects.get_or_create(group=None, defaults={"threshold": threshold})


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_money_index"), ("funds", "0002_rules")]

    operations = [
        migrations.AlterModelOptions(
            name="fundpolicy",
            options={
                "ordering": [F("group").asc(nulls_first=True)],
                "permissions": [("approve_fundpolicy", "Can let a higher threshold come true")],
                "verbose_name_plural": "fund policies",
            },
        ),
        migrations.AlterField(
            model_name="fundpolicy",
            name="created_at",
            field=models.DateTimeField(
                db_default=Now(),
                editable=False,
                help_text="When its threshold began; what was posted before does not count.",
            ),
        ),
        migrations.AlterField(
            model_name="fundpolicy",
            name="group",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="fund_policy",
                to="groups.tradinggroup",
            ),
        ),
        migrations.AlterField(
            model_name="fundpolicy",
            name="minimum",
            field=rtx.kernel.fields.ExactDecimalField(
                decimal_places=12,
                default=0,
                help_text="Least amount that a client may ask for, in the account's currency.",
                max_digits=28,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="fundpolicy",
            name="threshold",
            field=rtx.kernel.fields.ExactDecimalField(
                blank=True,
                decimal_places=12,
                help_text=(
                    "In the account's currency, per client and UTC day, all kinds together: what exceeds it "
                    "waits for a second person. Empty: one person is always enough. Raising it, also above "
                    "the house's, needs a second person too."
                ),
                max_digits=28,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AddConstraint(
            model_name="fundpolicy",
            constraint=models.UniqueConstraint(
                fields=("group",), name="fund_policy_once", nulls_distinct=False
            ),
        ),
        migrations.RunSQL(LIMIT, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_POSTING, migrations.RunSQL.noop),
        migrations.RunSQL(CHECK_POLICY, migrations.RunSQL.noop),
        migrations.RunSQL(ON_POLICIES, migrations.RunSQL.noop),
        migrations.RunPython(create_house_policy, migrations.RunPython.noop),
    ]
