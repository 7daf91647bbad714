"""A file from a browser: in parts by a script, which shows how far it is; in one form without it."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from cloudpos.api.errors import ApiError
from cloudpos.api.parsing import read_body
from cloudpos.tenancy.backoffice.access import acting_for, staff_access
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.imports import services
from customers.imports.serializers import FILE_NAME_CHARS_MAX
from customers.imports.storage import PART_BYTES_MAX
from customers.models import Import

Answer = Callable[..., JsonResponse]


def _answering(view: Callable[..., dict[str, Any]]) -> Any:
    """A view for the script: JSON, in which a refusal is said in words."""

    @wraps(view)
    def answer(request: HttpRequest, **named: Any) -> HttpResponse:
        access = staff_access(request)
        if access.current is None or not access.may(Role.MANAGER):
            raise PermissionDenied
        try:
            return JsonResponse(view(request, access.current, **named))
        except services.ImportNotFound:
            raise Http404 from None
        except ApiError as refusal:
            return JsonResponse({"refused": refusal.detail})

    return admin.site.admin_view(require_POST(answer))


@_answering
def begin_upload(request: HttpRequest, merchant: Merchant) -> dict[str, Any]:
    source = services.create_import(
        access=acting_for(request, merchant), file_name=file_name(request.POST.get("name", ""))
    )
    return {
        "parts": reverse("import_page", args=[source.pk]) + "parts/",
        "finish": reverse("import_upload_finish", args=[source.pk]),
        "bytes": PART_BYTES_MAX,
    }


@_answering
def upload_part(
    request: HttpRequest, merchant: Merchant, import_id: uuid.UUID, number: int
) -> dict[str, Any]:
    data = read_body(request, request.META, bytes_max=PART_BYTES_MAX)
    services.put_part(merchant_id=merchant.pk, import_id=import_id, number=number, data=data)
    return {"number": number}


@_answering
def finish_upload_page(request: HttpRequest, merchant: Merchant, import_id: uuid.UUID) -> dict[str, Any]:
    source = finished(request, merchant, import_id)
    return {"page": reverse("import_page", args=[source.pk])}


def take_file(request: HttpRequest, merchant: Merchant, file: Any) -> Import:
    """A whole file of a form. Raises ApiError."""
    source = services.create_import(access=acting_for(request, merchant), file_name=file_name(file.name))
    for number, part in enumerate(file.chunks(PART_BYTES_MAX)):
        services.put_part(merchant_id=merchant.pk, import_id=source.pk, number=number, data=bytes(part))
    return finished(request, merchant, source.pk)


def finished(request: HttpRequest, merchant: Merchant, import_id: uuid.UUID) -> Import:
    """Raises ApiError; what cannot be read is not kept."""
    try:
        return services.finish_upload(access=acting_for(request, merchant), import_id=import_id)
    except ApiError as refusal:
        if refusal.status == 400:
            services.delete_import(merchant_id=merchant.pk, import_id=import_id)
        raise


def file_name(name: str) -> str:
    shown = "".join(character for character in name if character.isprintable()).strip()
    return shown[-FILE_NAME_CHARS_MAX:] or "customers.csv"
