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
    dependencies = [("customers", "0011_words"), ("tenancy", "0001_initial")]

    operations = [
        migrations.AlterField("consent", "merchant", BY_REFERENCE),
        migrations.AlterField("preferences", "merchant", BY_REFERENCE),
        migrations.AlterField("purchase", "merchant", BY_REFERENCE),
        migrations.AlterField("purchaseitem", "merchant", BY_REFERENCE),
        migrations.AlterField("purchasereturn", "merchant", BY_REFERENCE),
        migrations.AlterField("purchasereturnitem", "merchant", BY_REFERENCE),
    ]
