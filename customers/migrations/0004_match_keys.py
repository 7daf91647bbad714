"""What duplicates are found by: the parts of a customer that two records of one person have in common.

The keys are immutable functions with an index each, not columns: nothing to keep in step, and looking for
duplicates walks an index in bounded slices instead of comparing everybody with everybody.
"""

from django.db import migrations

FUNCTIONS = r"""
-- The words of a name in alphabetical order: 'smith john' and 'john smith' have one key.
CREATE FUNCTION customer_name_key(sort_name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(word, ' ' ORDER BY word COLLATE "C"), '')
    FROM unnest(string_to_array(translate($1, '-,.''', '  '), ' ')) AS word WHERE word <> ''
$$;

-- The mailbox behind an address: without +tags and dots, which most providers ignore.
CREATE FUNCTION customer_mailbox(email_key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT replace(split_part(split_part($1, '@', 1), '+', 1), '.', '') || '@' ||
        CASE split_part($1, '@', 2) WHEN 'googlemail.com' THEN 'gmail.com' ELSE split_part($1, '@', 2) END
$$;
"""

FUNCTIONS_UNDO = """
DROP FUNCTION customer_mailbox(text);
DROP FUNCTION customer_name_key(text);
"""

INDEXES = {
    "customers_match_name_idx": ("customer_name_key(sort_name)", "sort_name <> ''"),
    "customers_match_mailbox_idx": ("customer_mailbox(email_key)", "email_key <> ''"),
    "customers_match_phone_idx": ("right(phone, 9)", "phone <> ''"),
    "customers_match_birth_idx": ("date_of_birth", "date_of_birth IS NOT NULL"),
}


def index(name: str, key: str, condition: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE INDEX {name} ON customers (merchant_id, {key}, id) WHERE deleted_at IS NULL AND {condition};",
        f"DROP INDEX {name};",
    )


class Migration(migrations.Migration):
    dependencies = [("customers", "0003_events_pending_by_merchant")]

    operations = [
        migrations.RunSQL(FUNCTIONS, FUNCTIONS_UNDO),
        *[index(name, key, condition) for name, (key, condition) in INDEXES.items()],
    ]
