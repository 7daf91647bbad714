"""Versions of the rules and shortfalls are as append-only as the ledger's entries."""

from django.db import migrations


def guard(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();
        """,
        f"""
        DROP TRIGGER {table}_append_only ON {table};
        """,
    )


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0003_versions_reversals_shortfalls")]

    operations = [guard("loyalty_program_versions"), guard("loyalty_shortfalls")]
