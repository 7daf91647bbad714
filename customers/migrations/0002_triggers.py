"""Counters behind the list's totals, and the immutability of what was sold and said."""

from django.db import migrations

# Deltas, not updates of a counter row: two tills of one merchant never wait for each other.
COUNTS = """
CREATE FUNCTION customers_counts_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n)
    SELECT merchant_id, status, type, segment, tier, count(*)
    FROM new_rows WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5;
    RETURN NULL;
END $$;

CREATE FUNCTION customers_counts_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n)
    SELECT merchant_id, status, type, segment, tier, -count(*)
    FROM old_rows WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5;
    RETURN NULL;
END $$;

CREATE FUNCTION customers_counts_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.deleted_at IS NULL THEN
        INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n)
        VALUES (OLD.merchant_id, OLD.status, OLD.type, OLD.segment, OLD.tier, -1);
    END IF;
    IF NEW.deleted_at IS NULL THEN
        INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n)
        VALUES (NEW.merchant_id, NEW.status, NEW.type, NEW.segment, NEW.tier, 1);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER customers_counts_insert AFTER INSERT ON customers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION customers_counts_insert();
CREATE TRIGGER customers_counts_delete AFTER DELETE ON customers
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION customers_counts_delete();
CREATE TRIGGER customers_counts_update AFTER UPDATE ON customers FOR EACH ROW
    WHEN ((OLD.status, OLD.type, OLD.segment, OLD.tier, OLD.deleted_at IS NULL)
        IS DISTINCT FROM (NEW.status, NEW.type, NEW.segment, NEW.tier, NEW.deleted_at IS NULL))
    EXECUTE FUNCTION customers_counts_update();
"""

COUNTS_UNDO = """
DROP TRIGGER customers_counts_update ON customers;
DROP TRIGGER customers_counts_delete ON customers;
DROP TRIGGER customers_counts_insert ON customers;
DROP FUNCTION customers_counts_update();
DROP FUNCTION customers_counts_delete();
DROP FUNCTION customers_counts_insert();
"""

# A merge moves rows to another customer of the same merchant: customer_id is the one column that may change.
IMMUTABLE = """
CREATE FUNCTION refuse_change_except_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'customer_id' = to_jsonb(OLD) - 'customer_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: its rows are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""

IMMUTABLE_UNDO = "DROP FUNCTION refuse_change_except_customer();"

TABLES = ("purchases", "purchase_items", "purchase_returns", "purchase_return_items", "customer_consents")


def guard(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_immutable BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change_except_customer();",
        f"DROP TRIGGER {table}_immutable ON {table};",
    )


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [
        migrations.RunSQL(COUNTS, COUNTS_UNDO),
        migrations.RunSQL(IMMUTABLE, IMMUTABLE_UNDO),
        *[guard(table) for table in TABLES],
    ]
