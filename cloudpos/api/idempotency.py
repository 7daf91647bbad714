"""Idempotency-Key: the same request sent twice is done once and answered twice.

Everything happens in one transaction. An advisory lock on the scope (merchant, subject, method, path, key) lets one
request through; it finds the stored answer, or does the work and stores it. Errors roll back and are not stored:
what failed may be tried again with the same key.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone

from cloudpos.api.envelope import EnvelopeResponse
from cloudpos.api.errors import BadRequest, Conflict, Unprocessable
from cloudpos.api.models import IdempotencyRecord
from cloudpos.api.transactions import RequestTransaction

KEY_CHARS_MAX = 255
PATH_CHARS_MAX = 512
FORGET_BATCH_ROWS = 5_000
STORED_HEADERS = ("Location", "ETag")


class InProgress(Conflict):
    code = "idempotency_in_progress"
    message = "The first request with this Idempotency-Key is still running. Try again in a moment."
    headers = {"Retry-After": "1"}


class KeyReused(Unprocessable):
    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used before with a different request."


def read_key(meta: dict[str, Any]) -> str | None:
    """The request's key, None without one. Raises BadRequest unless it is 1-255 printable ASCII characters."""
    key: str | None = meta.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not key or len(key) > KEY_CHARS_MAX or not (key.isascii() and key.isprintable()):
        raise BadRequest(
            f"Idempotency-Key has 1 to {KEY_CHARS_MAX} printable characters.",
            field="Idempotency-Key",
            code="invalid_idempotency_key",
        )
    return key


def content_hash(store_id: uuid.UUID | None, query_string: str, body: Any) -> bytes:
    """Of what the request says, and for which store: a sale of one is not another's.

    A body with its keys in another order is the same request.
    """
    canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{store_id}\0{query_string}\0".encode() + canonical).digest()


def _lock_number(*scope: str) -> int:
    digest = hashlib.blake2b("\0".join(scope).encode(), digest_size=8, person=b"idempotency").digest()
    return int.from_bytes(digest, "big", signed=True)


def perform(
    *,
    merchant_id: Any,
    subject: str,
    method: str,
    path: str,
    key: str,
    body_hash: bytes,
    work: Callable[[], HttpResponse],
    at: datetime | None = None,
) -> HttpResponse:
    """The stored answer of this scope, or `work()`'s, stored when it is a success.

    Raises InProgress (409) while another request holds the scope and KeyReused (422) for another body.
    """
    if len(path) > PATH_CHARS_MAX:
        raise BadRequest("The path is too long.", code="bad_request")
    scope = {"merchant_id": merchant_id, "subject": subject, "method": method, "path": path, "key": key}
    with RequestTransaction():
        with connection.cursor() as cursor:
            number = _lock_number(str(merchant_id), subject, method, path, key)
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
            if not cursor.fetchone()[0]:
                raise InProgress()
        # A statement of its own: its snapshot must be taken after the lock was.
        stored = IdempotencyRecord.objects.filter(**scope).first()
        if stored is not None:
            if bytes(stored.body_hash) != body_hash:
                raise KeyReused()
            return _replay(stored)
        response = work()
        if 200 <= response.status_code < 300:
            IdempotencyRecord(
                **scope,
                body_hash=body_hash,
                status=response.status_code,
                body=response.content,
                headers={name: response.headers[name] for name in STORED_HEADERS if name in response.headers},
                created_at=at or timezone.now(),
            ).save(force_insert=True)
        else:
            transaction.set_rollback(True)
        return response


def _replay(stored: IdempotencyRecord) -> HttpResponse:
    response = EnvelopeResponse(bytes(stored.body), status=stored.status, content_type="application/json")
    for name, value in stored.headers.items():
        response.headers[name] = value
    response.headers["Idempotent-Replayed"] = "true"
    return response


def forget(*, at: datetime) -> int:
    """Delete records older than IDEMPOTENCY_KEPT_DAYS, in batches. Returns how many."""
    before = at - timedelta(days=settings.IDEMPOTENCY_KEPT_DAYS)
    forgotten = 0
    while True:
        old = IdempotencyRecord.objects.filter(created_at__lt=before).values("pk")[:FORGET_BATCH_ROWS]
        deleted, _ = IdempotencyRecord.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        forgotten += deleted
        if deleted < FORGET_BATCH_ROWS:
            return forgotten
