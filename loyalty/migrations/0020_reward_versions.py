"""Rewards have versions, for If-Match. With a default of the database, so that processes of before still add rewards."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0019_cheaper_lots")]

    operations = [
        migrations.AddField(
            model_name="reward",
            name="version",
            field=models.PositiveIntegerField(
                db_default=1,
                default=1,
                editable=False,
                help_text="Of what a manager writes: not of its stock",
            ),
        ),
    ]
