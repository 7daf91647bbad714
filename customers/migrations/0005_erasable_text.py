"""Erasing a customer may empty what a person is known by in an immutable row: an IP address, a reason in free words.

Amounts, dates and what was consented to stay immutable.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change_except_customer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD) - 'customer_id';
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        after := to_jsonb(NEW) - 'customer_id';
        IF after ->> 'ip' IS NULL THEN
            before := before - 'ip';
            after := after - 'ip';
        END IF;
        IF after ->> 'reason' = '' THEN
            before := before - 'reason';
            after := after - 'reason';
        END IF;
        IF after = before THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: its rows are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""

BEFORE = """
CREATE OR REPLACE FUNCTION refuse_change_except_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'customer_id' = to_jsonb(OLD) - 'customer_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: its rows are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0004_match_keys")]

    operations = [migrations.RunSQL(FUNCTION, BEFORE)]
