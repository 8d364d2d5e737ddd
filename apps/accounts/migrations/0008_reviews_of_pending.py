"""Clients who were pending before there was a queue wait in it."""

from django.db import migrations

WAIT = """
INSERT INTO accounts_kycreview (client_id, submitted_at, decision, reason)
SELECT c.id, c.created_at, '', '' FROM accounts_client c
WHERE c.kyc_status = 'pending' AND c.data_key IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM accounts_kycreview r WHERE r.client_id = c.id AND r.decision = '')
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_client_rights")]

    operations = [migrations.RunSQL(WAIT, migrations.RunSQL.noop)]
