"""Requests by key belong to every app of staff now: the rows move to audit."""

from django.db import migrations

MOVE = """
    INSERT INTO audit_staffrequest (user_id, key, fingerprint, answer, at)
    SELECT user_id, key, fingerprint, answer, at FROM risk_staffrequest ORDER BY id
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("risk", "0004_staff_requests")]

    operations = [
        migrations.RunSQL(MOVE, migrations.RunSQL.noop),
        migrations.DeleteModel(name="StaffRequest"),
    ]
