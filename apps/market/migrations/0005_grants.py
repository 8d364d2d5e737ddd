"""What the application's role may not do to the history of the configuration."""

from django.conf import settings
from django.db import migrations

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON market_configurationchange FROM {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("market", "0004_swaps_levels_history")]

    operations = [migrations.RunSQL(REVOKE, migrations.RunSQL.noop)]
