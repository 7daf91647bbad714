"""The newest customers of a frequent start of a word, from an index alone: by the word's first letters, then by time."""

import django.db.models.functions.text
from django.db import migrations, models
from django.db.models.expressions import CombinedExpression


class Migration(migrations.Migration):
    dependencies = [("customers", "0012_merchant_by_reference")]

    operations = [
        migrations.AddIndex(
            model_name="customerword",
            index=models.Index(
                django.db.models.functions.text.Left(
                    "lexeme",
                    CombinedExpression(
                        django.db.models.functions.text.StrIndex("lexeme", models.Value(":")),
                        "+",
                        models.Value(4),
                    ),
                ),
                models.F("created_at"),
                models.F("customer_id"),
                include=("lexeme",),
                name="customer_words_head_idx",
            ),
        ),
    ]
