"""Every sale enters its customer's new row into the indexes of the match keys: their functions, made cheap.

A function in SQL is read and planned again by each statement that might inline it; one in PL/pgSQL is compiled once per
session. Same names, same results: the indexes stay as they are. And room in each page for a row's next version: a change
of points alone, or of a segment's date, then touches no index at all.
"""

import importlib

from django.db import migrations

_sql = importlib.import_module("customers.migrations.0004_match_keys")

FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION customer_name_key(sort_name text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT coalesce(string_agg(word, ' ' ORDER BY word COLLATE "C"), '')
        FROM unnest(string_to_array(translate($1, '-,.''', '  '), ' ')) AS word WHERE word <> ''
    );
END $$;

CREATE OR REPLACE FUNCTION customer_mailbox(email_key text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN replace(split_part(split_part($1, '@', 1), '+', 1), '.', '') || '@' ||
        CASE split_part($1, '@', 2) WHEN 'googlemail.com' THEN 'gmail.com' ELSE split_part($1, '@', 2) END;
END $$;
"""

FUNCTIONS_UNDO = _sql.FUNCTIONS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


class Migration(migrations.Migration):
    dependencies = [("customers", "0008_logs_by_time")]

    operations = [
        migrations.RunSQL(FUNCTIONS, FUNCTIONS_UNDO),
        migrations.RunSQL(
            "ALTER TABLE customers SET (fillfactor = 85)", "ALTER TABLE customers RESET (fillfactor)"
        ),
    ]
