from django.db import migrations, models

# What no CRM may change here (identity check, wrapped key, e-mail) makes nobody's phone number newer.
FORWARD = """
CREATE OR REPLACE FUNCTION crm_note_client() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    happened text := 'client';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.data_key IS NOT NULL AND NEW.data_key IS NULL THEN
            happened := 'erased';
        ELSIF (OLD.first_name_sealed, OLD.last_name_sealed, OLD.phone_sealed, OLD.address_sealed, OLD.country)
            IS NOT DISTINCT FROM
            (NEW.first_name_sealed, NEW.last_name_sealed, NEW.phone_sealed, NEW.address_sealed, NEW.country)
        THEN
            happened := 'other';
        END IF;
    END IF;
    INSERT INTO crm_change (what, client_id, account_id) VALUES (happened, NEW.id, NULL);
    RETURN NULL;
END $$;
"""
BACKWARD = """
CREATE OR REPLACE FUNCTION crm_note_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm_change (what, client_id, account_id)
    VALUES (CASE WHEN TG_OP = 'UPDATE' AND OLD.data_key IS NOT NULL AND NEW.data_key IS NULL
                 THEN 'erased' ELSE 'client' END, NEW.id, NULL);
    RETURN NULL;
END $$;
UPDATE crm_change SET what = 'client' WHERE what = 'other';
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0005_refused_sending")]

    operations = [
        migrations.AlterField(
            model_name="change",
            name="what",
            field=models.CharField(
                choices=[
                    ("client", "Client"),
                    ("other", "Client, but nothing that a CRM may change"),
                    ("account", "Trading account"),
                    ("erased", "Client erased"),
                ],
                max_length=8,
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
