from django.db import migrations

# In the transaction of the change itself, whoever makes it and by whatever statement.
FORWARD = """
CREATE FUNCTION crm_note_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm_change (what, client_id, account_id)
    VALUES (CASE WHEN TG_OP = 'UPDATE' AND OLD.data_key IS NOT NULL AND NEW.data_key IS NULL
                 THEN 'erased' ELSE 'client' END, NEW.id, NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER crm_note_client_added AFTER INSERT ON accounts_client
    FOR EACH ROW EXECUTE FUNCTION crm_note_client();
CREATE TRIGGER crm_note_client_changed AFTER UPDATE ON accounts_client
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION crm_note_client();
CREATE FUNCTION crm_note_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm_change (what, client_id, account_id) VALUES ('account', NEW.client_id, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER crm_note_account_added AFTER INSERT ON accounts_tradingaccount
    FOR EACH ROW EXECUTE FUNCTION crm_note_account();
CREATE TRIGGER crm_note_account_changed AFTER UPDATE ON accounts_tradingaccount
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION crm_note_account();
"""
BACKWARD = """
DROP TRIGGER crm_note_account_changed ON accounts_tradingaccount;
DROP TRIGGER crm_note_account_added ON accounts_tradingaccount;
DROP FUNCTION crm_note_account();
DROP TRIGGER crm_note_client_changed ON accounts_client;
DROP TRIGGER crm_note_client_added ON accounts_client;
DROP FUNCTION crm_note_client();
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial"), ("accounts", "0008_reviews_of_pending")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
