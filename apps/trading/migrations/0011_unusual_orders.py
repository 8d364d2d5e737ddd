"""
Orders of a rare status or type are read along an index instead of looked for among a million others. Filled
market orders, which most are, stand in neither.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Add the indexes."""

    dependencies = [("trading", "0010_orders_by_client_order_id")]

    operations = [
        migrations.AddIndex(
            "order",
            models.Index(
                fields=["status", "-id"], name="order_unusual_status", condition=~Q(status="filled")
            ),
        ),
        migrations.AddIndex(
            "order",
            models.Index(fields=["type", "-id"], name="order_unusual_type", condition=~Q(type="market")),
        ),
    ]
