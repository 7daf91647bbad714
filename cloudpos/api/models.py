"""Stored answers of requests that carried an Idempotency-Key."""

from django.db import models

from cloudpos.ids import new_id


class IdempotencyRecord(models.Model):
    """One answered request. Written in the transaction that did the work, so it exists exactly when the work does."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Not a foreign key: this layer knows no merchants. It still leads every index, like everywhere else.
    merchant_id = models.UUIDField()
    subject = models.CharField(max_length=64)
    method = models.CharField(max_length=7)
    path = models.CharField(max_length=512)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "api_idempotency_record"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "subject", "method", "path", "key"], name="api_idempotency_scope_uniq"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="api_idempotency_created_idx")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
