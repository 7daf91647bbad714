"""The planner must know how visits are spread: it does not read that from a partial index."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("customers", "0006_sort_by_last_visit")]

    operations = [
        migrations.RunSQL(
            "CREATE STATISTICS customers_last_visit_stats ON (COALESCE(last_visit_at, '-infinity'::timestamptz)) "
            "FROM customers;",
            "DROP STATISTICS customers_last_visit_stats;",
        ),
    ]
