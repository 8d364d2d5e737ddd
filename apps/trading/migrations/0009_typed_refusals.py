"""The database's refusals of a reversal, told as typed errors like those of a posting."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("apps.trading.migrations.0007_dealing").APPROVED.partition("CREATE CONSTRAINT")[0]
NOT_APPROVED = "reverses a position without its approval', NEW.id"
DIFFERS = "reverses something else than was approved', NEW.id"
TYPED = "{}\n            USING ERRCODE = 'RX409', CONSTRAINT = '{}'"
AFTER = (
    BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    .replace(NOT_APPROVED, TYPED.format(NOT_APPROVED, "reversal_not_approved"))
    .replace(DIFFERS, TYPED.format(DIFFERS, "approval_mismatch"))
)


class Migration(migrations.Migration):
    dependencies = [("trading", "0008_unusual_deals")]

    operations = [
        migrations.RunSQL(AFTER, BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")),
    ]
