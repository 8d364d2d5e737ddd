"""Readers across accounts follow the journal by transaction id (see trading's selectors/following.py)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_grants")]

    operations = [
        migrations.AddIndex(
            model_name="accountevent",
            index=models.Index(fields=["xact", "id"], name="event_by_transaction"),
        ),
    ]
