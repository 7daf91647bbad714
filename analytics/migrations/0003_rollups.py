"""Purchases summed up by day, week and month, with who bought."""

import uuid

from django.db import migrations, models

# Compressed already: PostgreSQL would try again for nothing at each write.
STORED_AS_THEY_ARE = {
    "analytics_days": ("once", "again", "members"),
    "analytics_spans": ("once", "again", "members"),
}


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0002_figures'),
    ]

    operations = [
        migrations.CreateModel(
            name='PurchaseRollup',
            fields=[
                ('merchant_id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('zones', models.JSONField(default=dict, help_text='By store: the zone in whose days its purchases were counted')),
                ('members', models.IntegerField(default=0, help_text='Customers that have a number')),
                ('revision', models.BigIntegerField(default=0, help_text='Grows with every change of the sums')),
                ('is_ready', models.BooleanField(default=False, help_text='Everything has been in the sums')),
            ],
            options={
                'db_table': 'analytics_rollups',
            },
        ),
        migrations.CreateModel(
            name='RollupDay',
            fields=[
                ('pk', models.CompositePrimaryKey('merchant_id', 'scope_id', 'day', blank=True, editable=False, primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('scope_id', models.UUIDField()),
                ('day', models.DateField()),
                ('purchases', models.IntegerField()),
                ('buyers', models.IntegerField(help_text='Distinct, of purchases that were not wholly taken back')),
                ('sold', models.BigIntegerField()),
                ('returned', models.BigIntegerField(help_text='Given back on this day, whenever it was sold')),
                ('discount', models.BigIntegerField()),
                ('points_earned', models.BigIntegerField()),
                ('points_redeemed', models.BigIntegerField()),
                ('points_expired', models.BigIntegerField()),
                ('once', models.BinaryField(help_text='The set of who bought')),
                ('again', models.BinaryField(help_text='The set of who bought at least twice')),
                ('members', models.BinaryField(help_text='Who bought how often for how much: analytics.rollups.members')),
                ('revision', models.BigIntegerField()),
            ],
            options={
                'db_table': 'analytics_days',
            },
        ),
        migrations.CreateModel(
            name='ChangedDays',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('first', models.DateField()),
                ('last', models.DateField()),
                ('changed_at', models.DateTimeField(help_text='When the earliest of the changes was recorded')),
            ],
            options={
                'db_table': 'analytics_changed_days',
                'indexes': [models.Index(fields=['merchant_id', 'id'], name='analytics_changed_days_idx')],
            },
        ),
        migrations.CreateModel(
            name='RollupMember',
            fields=[
                ('pk', models.CompositePrimaryKey('merchant_id', 'customer_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('customer_id', models.UUIDField()),
                ('number', models.IntegerField()),
            ],
            options={
                'db_table': 'analytics_members',
                'constraints': [models.UniqueConstraint(fields=('merchant_id', 'number'), name='analytics_members_number_uniq')],
            },
        ),
        migrations.CreateModel(
            name='RollupSpan',
            fields=[
                ('pk', models.CompositePrimaryKey('merchant_id', 'scope_id', 'unit', 'first', blank=True, editable=False, primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('scope_id', models.UUIDField()),
                ('unit', models.CharField(max_length=5)),
                ('first', models.DateField()),
                ('once', models.BinaryField(help_text='The set of who bought')),
                ('again', models.BinaryField(help_text='The set of who bought at least twice')),
                ('members', models.BinaryField(help_text='As those of a day')),
                ('revision', models.BigIntegerField()),
            ],
            options={
                'db_table': 'analytics_spans',
                'constraints': [models.CheckConstraint(condition=models.Q(('unit__in', ['week', 'month'])), name='analytics_spans_unit')],
            },
        ),
        *(
            migrations.RunSQL(
                "; ".join(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL" for column in columns),
                migrations.RunSQL.noop,
            )
            for table, columns in STORED_AS_THEY_ARE.items()
        ),
    ]
