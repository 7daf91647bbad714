"""The merchant of a row is proved by what the row must refer to: a foreign key of its own cost each sale one more look."""

import django.db.models.deletion
from django.db import migrations, models

BY_REFERENCE = models.ForeignKey(
    "tenancy.merchant",
    on_delete=django.db.models.deletion.PROTECT,
    related_name="+",
    db_index=False,
    db_constraint=False,
)


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0013_analytics_rollups"), ("tenancy", "0001_initial")]

    operations = [
        migrations.AlterField("allocation", "merchant", BY_REFERENCE),
        migrations.AlterField("enrollment", "merchant", BY_REFERENCE),
        migrations.AlterField("ledgerentry", "merchant", BY_REFERENCE),
        migrations.AlterField("lot", "merchant", BY_REFERENCE),
        migrations.AlterField("shortfall", "merchant", BY_REFERENCE),
    ]
