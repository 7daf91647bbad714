"""What came back of a purchase and of its lines, kept with them by the database: whoever adds up reads no returns."""

from decimal import Decimal

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection, migrations, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

BATCH_ROWS = 5_000

# One index look-up for each row: a load writes into tables that the planner takes for empty, and would have them read as a whole.
ADD_UP = """
CREATE FUNCTION purchases_add_returned() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE purchases p SET returned = p.returned + back.amount
    FROM (SELECT merchant_id, purchase_id, sum(amount) AS amount FROM new_rows GROUP BY 1, 2) back
    WHERE p.merchant_id = back.merchant_id AND p.id = back.purchase_id;
    RETURN NULL;
END $$;

CREATE FUNCTION purchase_items_add_returned() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE purchase_items i SET returned = i.returned + back.quantity
    FROM (
        SELECT n.merchant_id, r.purchase_id, n.line, sum(n.quantity) AS quantity FROM new_rows n
        JOIN purchase_returns r ON r.merchant_id = n.merchant_id AND r.id = n.purchase_return_id GROUP BY 1, 2, 3
    ) back
    WHERE i.merchant_id = back.merchant_id AND i.purchase_id = back.purchase_id AND i.line = back.line;
    RETURN NULL;
END $$;

CREATE TRIGGER purchase_returns_add_up AFTER INSERT ON purchase_returns
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION purchases_add_returned();
CREATE TRIGGER purchase_return_items_add_up AFTER INSERT ON purchase_return_items
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION purchase_items_add_returned();
"""

ADD_UP_UNDO = """
DROP TRIGGER purchase_return_items_add_up ON purchase_return_items;
DROP TRIGGER purchase_returns_add_up ON purchase_returns;
DROP FUNCTION purchase_items_add_returned();
DROP FUNCTION purchases_add_returned();
"""

# As in 0005, but for what returns add up: {only_if} says who may change that.
IMMUTABLE = """
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
        IF {only_if} THEN
            before := before - 'returned';
            after := after - 'returned';
        END IF;
        IF after = before THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: its rows are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""
ANYBODY, TRIGGERS_ALONE, NOBODY = (
    IMMUTABLE.replace("{only_if}", who) for who in ("true", "pg_trigger_depth() > 1", "false")
)

# Triggers are there by then, and new returns are kept out: one that came in between would be counted twice or never.
PURCHASES = """
WITH batch AS (
    SELECT merchant_id, purchase_id, sum(amount) AS amount FROM purchase_returns
    WHERE (merchant_id, purchase_id) > (%s, %s) GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %s
), written AS (
    UPDATE purchases p SET returned = batch.amount FROM batch
    WHERE p.merchant_id = batch.merchant_id AND p.id = batch.purchase_id
)
SELECT merchant_id, purchase_id FROM batch ORDER BY 1 DESC, 2 DESC LIMIT 1
"""
ITEMS = """
WITH batch AS (
    SELECT DISTINCT merchant_id, purchase_id FROM purchase_returns
    WHERE (merchant_id, purchase_id) > (%s, %s) ORDER BY 1, 2 LIMIT %s
), written AS (
    UPDATE purchase_items i SET returned = back.quantity FROM (
        SELECT batch.merchant_id, batch.purchase_id, n.line, sum(n.quantity) AS quantity FROM batch
        JOIN purchase_returns r ON r.merchant_id = batch.merchant_id AND r.purchase_id = batch.purchase_id
        JOIN purchase_return_items n ON n.merchant_id = r.merchant_id AND n.purchase_return_id = r.id GROUP BY 1, 2, 3
    ) back
    WHERE i.merchant_id = back.merchant_id AND i.purchase_id = back.purchase_id AND i.line = back.line
)
SELECT merchant_id, purchase_id FROM batch ORDER BY 1 DESC, 2 DESC LIMIT 1
"""
NOBODY_YET = "00000000-0000-0000-0000-000000000000"


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for sql in (PURCHASES, ITEMS):
        last = (NOBODY_YET, NOBODY_YET)
        while last:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE purchase_returns, purchase_return_items IN SHARE ROW EXCLUSIVE MODE")
                cursor.execute(sql, [*last, BATCH_ROWS])
                last = cursor.fetchone()


class Migration(migrations.Migration):
    # Each batch commits: tills go on meanwhile.
    atomic = False

    dependencies = [("customers", "0017_gone_by_address")]

    operations = [
        migrations.AddField(
            "purchase",
            "returned",
            models.DecimalField(
                max_digits=12,
                decimal_places=2,
                default=Decimal(0),
                db_default=Decimal(0),
                editable=False,
                help_text="The sum of its returns, added up by the database",
            ),
        ),
        migrations.AddField(
            "purchaseitem",
            "returned",
            models.DecimalField(
                max_digits=12,
                decimal_places=3,
                default=Decimal(0),
                db_default=Decimal(0),
                editable=False,
                help_text="Of the quantity, what came back, added up by the database",
            ),
        ),
        migrations.RunSQL(ANYBODY, NOBODY),
        migrations.RunSQL(ADD_UP, ADD_UP_UNDO),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(TRIGGERS_ALONE, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "purchase",
            models.Index(
                fields=["merchant", "occurred_at"],
                include=["id", "store", "customer", "amount", "returned"],
                name="purchases_window_idx",
            ),
        ),
        RemoveIndexConcurrently("purchase", "purchases_time_idx"),
        AddIndexConcurrently(
            "purchase",
            models.Index(
                fields=["merchant", "customer", "occurred_at", "id"],
                include=["amount", "returned"],
                name="purchases_history_idx",
            ),
        ),
        RemoveIndexConcurrently("purchase", "purchases_customer_idx"),
        # Sums over windows and histories read an index alone, as long as pages are known to be visible: tidied early.
        migrations.RunSQL(
            "ALTER TABLE purchases SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.01)",
            "ALTER TABLE purchases RESET (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_scale_factor)",
        ),
    ]
