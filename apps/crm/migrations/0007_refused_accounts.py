from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0006_changes_a_crm_may_make"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="account_push_not_before",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="No account is sent before: a call was refused.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="account_push_refusals",
            field=models.PositiveIntegerField(
                default=0, editable=False, help_text="Of a call that sending accounts needs, in a row."
            ),
        ),
        migrations.AlterField(
            model_name="connection",
            name="push_not_before",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="No client is sent before: a call was refused.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="connection",
            name="push_refusals",
            field=models.PositiveIntegerField(
                default=0, editable=False, help_text="Of a call that sending clients needs, in a row."
            ),
        ),
    ]
