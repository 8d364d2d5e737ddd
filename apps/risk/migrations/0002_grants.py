"""The row that counts changes of controls, and what the application's role may not do to append-only rows."""

from django.conf import settings
from django.db import migrations

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON risk_liquidation, risk_breakerchange FROM {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "INSERT INTO risk_controlsversion (id, version) VALUES (1, 1) ON CONFLICT DO NOTHING",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(REVOKE, migrations.RunSQL.noop),
    ]
