"""An expiry writes to two indexes less.

Each change of a lot wrote to two that have its id: lots are found with their merchant, by `loyalty_lots_merchant_id_uniq`, which
also says which row is which in a replica. What was taken from a lot is asked for along the entries; only its expiry is asked for
by the lot, and that has an index of its own.
"""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("loyalty", "0018_tier_months_are_given")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE loyalty_lots REPLICA IDENTITY USING INDEX loyalty_lots_merchant_id_uniq,"
            " DROP CONSTRAINT IF EXISTS loyalty_lots_pkey",
            "ALTER TABLE loyalty_lots ADD CONSTRAINT loyalty_lots_pkey PRIMARY KEY (id), REPLICA IDENTITY DEFAULT",
        ),
        RemoveIndexConcurrently(model_name="allocation", name="loyalty_allocations_lot_idx"),
    ]
