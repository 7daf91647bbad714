"""Erasing a customer may empty what was written in free words beside an entry. Nothing else of the ledger ever changes."""

from django.db import migrations

REFUSAL = """
    RAISE EXCEPTION '% on % is refused: the ledger is append-only, correct it by a counter-entry', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
"""
FUNCTION = f"""
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) ->> 'description' = ''
        AND to_jsonb(NEW) - 'description' = to_jsonb(OLD) - 'description' THEN
        RETURN NEW;
    END IF;
    {REFUSAL}
END $$;
"""
BEFORE = f"""
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {REFUSAL}
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0005_earned_once_per_account")]

    operations = [migrations.RunSQL(FUNCTION, BEFORE)]
