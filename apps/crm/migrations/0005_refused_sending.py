from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0004_newest_and_letters"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="push_not_before",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Nothing is sent before: a call for it was refused.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="push_refusals",
            field=models.PositiveIntegerField(
                default=0, editable=False, help_text="Of a call that sending needs, in a row."
            ),
        ),
    ]
