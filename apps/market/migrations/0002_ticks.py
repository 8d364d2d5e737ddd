"""
The tick history (daily partitions), the functions that make and drop its days, and the row of terms versions.

The application's role owns no table, so days are made and dropped by functions that run with the owner's rights.
"""

from django.conf import settings
from django.db import migrations, models

TABLE = """
CREATE TABLE market_tick (
    symbol_id bigint NOT NULL,
    time timestamptz NOT NULL,
    nth smallint NOT NULL DEFAULT 0,
    source text NOT NULL,
    bid numeric NOT NULL,
    ask numeric NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX market_tick_symbol_time ON market_tick (symbol_id, time);
COMMENT ON COLUMN market_tick.nth IS 'How many earlier ticks of the symbol and source carry the same time.';
"""

FUNCTIONS = """
CREATE FUNCTION market_create_tick_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    partition text := 'market_tick_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('market_tick_day'));
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Attached, not created in place: that would wait for every writer and hold up the next ones.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.market_tick INCLUDING DEFAULTS INCLUDING INDEXES)', partition
    );
    EXECUTE format(
        'ALTER TABLE public.market_tick ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00'
    );
    RETURN true;
END $$;

CREATE FUNCTION market_drop_tick_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    partition text := 'market_tick_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || partition) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE public.%I', partition);
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION market_create_tick_day(date), market_drop_tick_day(date) FROM PUBLIC;
"""

GRANTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        GRANT SELECT, INSERT ON market_tick TO {role};
        GRANT EXECUTE ON FUNCTION market_create_tick_day(date), market_drop_tick_day(date) TO {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("market", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="TickDay",
            fields=[
                ("date", models.DateField(primary_key=True, serialize=False)),
                (
                    "keeps_history",
                    models.BooleanField(
                        default=False, help_text="Holds imported ticks: never dropped."
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-date"]},
        ),
        migrations.RunSQL(TABLE, "DROP TABLE market_tick"),
        migrations.RunSQL(
            FUNCTIONS, "DROP FUNCTION market_create_tick_day(date); DROP FUNCTION market_drop_tick_day(date);"
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
        migrations.RunSQL(
            "INSERT INTO market_termsversion (id, version) VALUES (1, 1) ON CONFLICT DO NOTHING",
            migrations.RunSQL.noop,
        ),
    ]
