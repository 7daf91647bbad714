"""The public page that shows how to receive webhooks and verify them. Its samples are files, which the tests run."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketing.webhooks.schedule import PAUSES_SECONDS

SAMPLES_FOLDER = Path(__file__).parent / "samples"
SAMPLES = {
    "Python": "verify.py",
    "Node": "verify.mjs",
    "PHP": "verify.php",
    "curl and openssl": "verify.sh",
}


@require_safe
def webhook_docs(request: HttpRequest) -> HttpResponse:
    """GET /api/docs/webhooks"""
    context: dict[str, Any] = {
        "samples": {name: (SAMPLES_FOLDER / file).read_text() for name, file in SAMPLES.items()},
        "pauses": [_words(seconds) for seconds in PAUSES_SECONDS[1:]],
        "log_days": settings.WEBHOOK_LOG_DAYS,
    }
    return render(request, "webhook_docs.html", context)


def _words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3_600 else f"{seconds / 3_600:g} h"
