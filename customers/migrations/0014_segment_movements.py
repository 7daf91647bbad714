"""How customers moved between segments, without reading everything that happened."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0013_words_by_head'),
        ('tenancy', '0001_initial'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('type', 'segment.changed')), fields=['merchant', 'occurred_at'], name='customer_events_segment_idx'),
        ),
    ]
