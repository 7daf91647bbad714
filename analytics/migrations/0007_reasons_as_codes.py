"""Reasons as numbers instead of sentences, and what the sentences need; room for each night's rows beside those of the night before."""

import django.contrib.postgres.fields
from cloudpos.migration_operations import Together
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0006_goods'),
    ]

    operations = [
        # Empty until the customer's figures are worked out anew, which every night does.
        migrations.RemoveField(model_name='customerfigures', name='churn_reasons'),
        Together(
            migrations.AddField(
                model_name='customerfigures',
                name='churn_reasons',
                field=django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), default=list, help_text='As analytics.prediction.themes has them, the weightiest first', size=None),
            ),
            migrations.AddField(
                model_name='customerfigures',
                name='milli_units',
                field=models.BigIntegerField(default=0, help_text='Thousandths of a unit, in all'),
            ),
            migrations.AddField(
                model_name='customerfigures',
                name='purchases_180d',
                field=models.IntegerField(default=0, help_text='Purchase days'),
            ),
            migrations.AddField(
                model_name='customerfigures',
                name='spend_90d_cents',
                field=models.BigIntegerField(default=0),
            ),
        ),
        # All rows are written every night. With as much room on each page the new ones need no entry in any index.
        migrations.RunSQL(
            "ALTER TABLE analytics_customers SET (fillfactor = 50)",
            "ALTER TABLE analytics_customers RESET (fillfactor)",
        ),
    ]
