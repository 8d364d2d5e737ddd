"""What the application's role may not do to append-only swap charges."""

from django.conf import settings
from django.db import migrations

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON trading_swapcharge FROM {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("trading", "0004_order_types_swaps")]

    operations = [migrations.RunSQL(REVOKE, migrations.RunSQL.noop)]
