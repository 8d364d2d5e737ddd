"""
The list of risk days begins with the newest: read along an index instead of sorted anew. The unique index
serves an account's own days, so that the account needs none of its own.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Exchange the indexes."""

    dependencies = [("risk", "0008_fault_of_connection")]

    operations = [
        migrations.AlterField(
            model_name="accountriskday",
            name="account",
            field=models.ForeignKey(
                "accounts.tradingaccount",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="risk_days",
                db_index=False,
            ),
        ),
        migrations.AddIndex(
            model_name="accountriskday",
            index=models.Index(fields=["-date", "account"], name="account_risk_newest_day"),
        ),
    ]
