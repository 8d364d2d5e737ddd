"""
A week of long ago in the ledger was found by walking back through everything booked since: lines are added at
the end of their time, so the index costs little and bounds the search.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the index."""

    dependencies = [("accounts", "0009_events_by_type")]

    operations = [
        migrations.AlterField(
            model_name="ledgerline",
            name="at",
            field=models.DateTimeField(db_index=True),
        ),
    ]
