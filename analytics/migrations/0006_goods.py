"""What was sold on each day, by product and category."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0005_segment_moves'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollupday',
            name='goods',
            field=models.BinaryField(help_text='What was sold: analytics.rollups.goods; empty where that was not summed up yet', null=True),
        ),
        migrations.CreateModel(
            name='Article',
            fields=[
                ('pk', models.CompositePrimaryKey('merchant_id', 'number', blank=True, editable=False, primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('number', models.IntegerField()),
                ('is_category', models.BooleanField()),
                ('sku', models.CharField(max_length=100)),
                ('label', models.CharField(help_text='The name if there is no sku, or of the category', max_length=200)),
                ('name', models.CharField(max_length=200)),
                ('category', models.CharField(max_length=100)),
            ],
            options={
                'db_table': 'analytics_articles',
                'constraints': [models.UniqueConstraint(fields=('merchant_id', 'is_category', 'sku', 'label'), name='analytics_articles_uniq')],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE analytics_days ALTER COLUMN goods SET STORAGE EXTERNAL", migrations.RunSQL.noop
        ),
        # What is summed up already is summed up again, with its goods.
        migrations.RunSQL(
            "INSERT INTO analytics_changed_days (merchant_id, first, last, changed_at)"
            " SELECT DISTINCT merchant_id, day, day, now() FROM analytics_days",
            migrations.RunSQL.noop,
        ),
    ]
