"""Hidden customers by e-mail and phone: an import asks whether somebody whom it brings anew had withdrawn consent."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("customers", "0016_imports")]

    operations = [
        migrations.AddIndex(
            model_name="customer",
            index=models.Index(
                condition=~Q(deleted_at=None) & ~Q(email_key=""),
                fields=["merchant", "email_key"],
                name="customers_gone_email_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="customer",
            index=models.Index(
                condition=~Q(deleted_at=None) & ~Q(phone=""),
                fields=["merchant", "phone"],
                name="customers_gone_phone_idx",
            ),
        ),
    ]
