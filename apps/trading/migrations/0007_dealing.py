"""The rights of dealing, and the database's own rule: no reversal without its approval."""

from django.db import migrations

APPROVED = """
CREATE FUNCTION trading_reversal_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked jsonb;
    closing jsonb := NEW.payload->'orders'->0;
    opening jsonb := NEW.payload->'orders'->1;
BEGIN
    SELECT a.content::jsonb INTO asked FROM audit_approval a
    WHERE a.id = NEW.command_id AND a.kind = 'trading.reverse' AND a.status = 'executed'
      AND a.account_id = NEW.account_id AND a.checker = NEW.actor AND a.checker_id <> a.maker_id
      AND a.checked_at < a.expires_at;
    IF asked IS NULL THEN
        RAISE EXCEPTION 'event % reverses a position without its approval', NEW.id;
    END IF;
    IF (asked->'position_id') IS DISTINCT FROM (NEW.payload->'position_id')
        OR asked->>'symbol' IS DISTINCT FROM closing->>'symbol'
        OR asked->>'side' IS DISTINCT FROM NEW.payload->>'side'
        OR asked->>'side' IS NOT DISTINCT FROM closing->>'side'
        OR (asked->>'volume')::numeric IS DISTINCT FROM (closing->>'filled_volume')::numeric
        OR (closing->'symbol', closing->'side', closing->'filled_volume', closing->'average_price')
            IS DISTINCT FROM
           (opening->'symbol', opening->'side', opening->'filled_volume', opening->'average_price')
        OR (SELECT abs((asked->>'price')::numeric - (closing->>'average_price')::numeric)
                   > (asked->>'deviation')::numeric / 10::numeric ^ y.digits
            FROM market_symbol y WHERE y.name = asked->>'symbol') IS NOT FALSE
    THEN
        RAISE EXCEPTION 'event % reverses something else than was approved', NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER trading_reversal_approved AFTER INSERT ON accounts_accountevent
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.type = 'position_reversed') EXECUTE FUNCTION trading_reversal_approved();
"""
DROP = """
DROP TRIGGER trading_reversal_approved ON accounts_accountevent;
DROP FUNCTION trading_reversal_approved();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_money_index"),
        ("audit", "0001_initial"),
        ("trading", "0006_rollover_days"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='order',
            options={'ordering': ['-id'], 'permissions': [('place_order', 'Can place orders on behalf of clients'), ('modify_order', 'Can change working orders'), ('cancel_order', 'Can cancel working orders')]},
        ),
        migrations.AlterModelOptions(
            name='position',
            options={'ordering': ['-id'], 'permissions': [('close_position', 'Can close positions at the market'), ('modify_position', 'Can change stop loss, take profit and trailing stop'), ('reverse_position', 'Can ask for the reversal of positions'), ('approve_reversal', 'Can approve or reject reversals')]},
        ),
        migrations.RunSQL(APPROVED, DROP),
    ]
