"""The ticket sequence, and what the application's role may not do to append-only deals."""

from django.conf import settings
from django.db import migrations

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON trading_deal FROM {role};
        GRANT USAGE, SELECT ON SEQUENCE trading_ticket TO {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE trading_ticket START 1000001", "DROP SEQUENCE trading_ticket"
        ),
        migrations.RunSQL(REVOKE, migrations.RunSQL.noop),
    ]
