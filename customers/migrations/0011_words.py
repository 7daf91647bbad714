"""Who is found by a word, newest last, in one narrow index: a search by name then reads no customer that it does not show."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

BATCH_ROWS = 5_000

# 'w' is the kind of a word; those that begin with a digit (":" follows "9") or are a whole e-mail address stay in the
# search index alone.
WORDS = """
    INSERT INTO customer_words (lexeme, created_at, customer_id)
    SELECT l, r.created_at, r.id FROM {rows} AS r, unnest(tsvector_to_array(r.search)) AS l
    WHERE r.deleted_at IS NULL AND strpos(l, '@') = 0
        AND substr(l, strpos(l, ':') + 1) COLLATE "C" >= 'w:' AND substr(l, strpos(l, ':') + 1) COLLATE "C" < 'x'
"""

# Updates are looked at only when they name a column that matters here: a sale does not.
TRIGGERS = f"""
CREATE FUNCTION customer_words_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {WORDS.format(rows="new_rows")};
    RETURN NULL;
END $$;

CREATE FUNCTION customer_words_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM customer_words
    WHERE lexeme = ANY(tsvector_to_array(OLD.search)) AND created_at = OLD.created_at AND customer_id = OLD.id;
    IF TG_OP = 'UPDATE' THEN
        {WORDS.format(rows="(SELECT NEW.*)")};
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER customer_words_insert AFTER INSERT ON customers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION customer_words_insert();
CREATE TRIGGER customer_words_update AFTER UPDATE OF id, search, created_at, deleted_at ON customers
    FOR EACH ROW EXECUTE FUNCTION customer_words_update();
CREATE TRIGGER customer_words_delete AFTER DELETE ON customers
    FOR EACH ROW EXECUTE FUNCTION customer_words_update();
"""

TRIGGERS_UNDO = """
DROP TRIGGER customer_words_delete ON customers;
DROP TRIGGER customer_words_update ON customers;
DROP TRIGGER customer_words_insert ON customers;
DROP FUNCTION customer_words_update();
DROP FUNCTION customer_words_insert();
"""

# Rows are locked while their words are written: a customer renamed meanwhile is read with the new name.
BATCH = (
    "WITH batch AS MATERIALIZED (SELECT id, created_at, deleted_at, search FROM customers "
    "WHERE id > %s ORDER BY id LIMIT %s FOR UPDATE), words AS ("
    + WORDS.format(rows="batch")
    + "ORDER BY l ON CONFLICT DO NOTHING) SELECT max(id::text) FROM batch"
)


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    last = "00000000-0000-0000-0000-000000000000"
    with schema_editor.connection.cursor() as cursor:
        while last:
            cursor.execute(BATCH, [last, BATCH_ROWS])
            (last,) = cursor.fetchone()


class Migration(migrations.Migration):
    # Each batch commits: tills go on meanwhile.
    atomic = False

    dependencies = [("customers", "0010_tier_movements")]

    operations = [
        migrations.CreateModel(
            name="CustomerWord",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "lexeme",
                        "created_at",
                        "customer_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("lexeme", models.TextField(db_collation="C")),
                ("created_at", models.DateTimeField()),
                ("customer_id", models.UUIDField()),
            ],
            options={"db_table": "customer_words"},
        ),
        # A search reads the index alone as long as its pages are known to be visible: tidied early and often.
        migrations.RunSQL(
            "ALTER TABLE customer_words SET (autovacuum_vacuum_insert_scale_factor = 0.02, "
            "autovacuum_vacuum_scale_factor = 0.02)",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(TRIGGERS, TRIGGERS_UNDO),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
