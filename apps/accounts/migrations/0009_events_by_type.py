"""
The journal is filtered by type: without an index a rare type is found by reading a million entries. There are
a dozen types, so that the index holds each once with a list of rows (7 MB for a million) and an entry is added
to the end of one of a dozen pages that stay in memory. Documents are listed by when they came.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the index."""

    dependencies = [("accounts", "0008_reviews_of_pending")]

    operations = [
        migrations.AddIndex(
            model_name="accountevent",
            index=models.Index(fields=["type"], name="event_by_type"),
        ),
        migrations.AddIndex(
            model_name="kycdocument",
            index=models.Index(fields=["-uploaded_at", "-id"], name="kyc_document_by_time"),
        ),
    ]
