"""What the application's role may not do to the staff log and to approvals."""

from django.conf import settings
from django.db import migrations

REVOKE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON audit_staffaction FROM {role};
        REVOKE DELETE, TRUNCATE ON audit_approval FROM {role};
    END IF;
END $$
""".format(role=settings.DATABASE_APP_ROLE)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(REVOKE, migrations.RunSQL.noop)]
