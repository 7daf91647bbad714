"""How many customers changed from one segment to another, month by month."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0004_cut_points_instead_of_passes'),
    ]

    operations = [
        migrations.CreateModel(
            name='SegmentMoves',
            fields=[
                ('pk', models.CompositePrimaryKey('merchant_id', 'month', 'origin', 'target', blank=True, editable=False, primary_key=True, serialize=False)),
                ('merchant_id', models.UUIDField()),
                ('month', models.DateField(help_text='Its first day')),
                ('origin', models.CharField(max_length=10)),
                ('target', models.CharField(max_length=10)),
                ('n', models.IntegerField()),
            ],
            options={
                'db_table': 'analytics_segment_moves',
            },
        ),
    ]
