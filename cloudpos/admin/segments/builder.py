"""The rule builder: conditions are put together in the browser, tried out here at each change, and saved by name."""

import uuid
from typing import Any

import orjson
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.timezone import now

from analytics.articles import articles_sold, categories_sold
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.api.errors import ApiError, FieldError
from cloudpos.api.parsing import parse_json
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.models import Merchant, Store
from customers.models import Channel, Purpose
from loyalty.services import active_program
from marketing.models import Segment
from marketing.segment_reading import find_segment, metadata_in_use, preview_rule, segments_of
from marketing.segment_services import SegmentNotFound, create_segment, read_rule, update_segment
from marketing.segments.fields import FIELDS, OPS
from marketing.segments.language import METADATA_OPS
from marketing.segments.wording import OP_WORDS

NAME_CHARS_MAX = 100
RULE_BYTES_MAX = 65_536
SAMPLE = 5


@analytics_page("New group", "builder", folder="segments")
def new_group_page(request: HttpRequest, merchant: Merchant) -> Shown:
    return _page(request, merchant, None)


@analytics_page("Customer group", "builder", folder="segments")
def builder_page(request: HttpRequest, merchant: Merchant, segment_id: uuid.UUID) -> Shown:
    try:
        segment = find_segment(merchant_id=merchant.pk, segment_id=segment_id)
    except SegmentNotFound:
        raise Http404 from None
    if segment.kind == Segment.Kind.LIST:
        return HttpResponseRedirect(reverse("group_members_page", args=[segment.pk]))
    return _page(request, merchant, segment)


@analytics_page("What it gives", "preview", folder="segments")
def builder_preview(request: HttpRequest, merchant: Merchant) -> Shown:
    """A part: how many customers the rule of the form would have, and who for example."""
    try:
        rule = _typed_rule(request)
        if rule is None:
            return {}
        segment_id = request.POST.get("segment") or None
        named = uuid.UUID(segment_id) if segment_id else None
        preview = preview_rule(
            merchant_id=merchant.pk,
            rule=read_rule(merchant.pk, rule, segment_id=named),
            segment_id=named,
            sample=SAMPLE,
            at=now(),
        )
    except ApiError as refusal:
        return {"problems": _problems(refusal)}
    except ValueError:
        raise Http404 from None
    return {"preview": preview, "percent": preview.share * 100}


def _page(request: HttpRequest, merchant: Merchant, segment: Segment | None) -> Shown:
    name = request.POST.get("name", segment.name if segment else "").strip()[:NAME_CHARS_MAX]
    rule: Any = segment.rule if segment else None
    problems: list[dict[str, str]] = []
    if request.method == "POST":
        try:
            rule = _typed_rule(request)
            saved = _save(request, merchant, segment, name, rule)
        except ApiError as refusal:
            problems = _problems(refusal)
        else:
            messages.success(request, f"“{saved.name}” is saved. Its customers follow in a moment.")
            return HttpResponseRedirect(reverse("groups_page"))
    return {
        "segment": segment,
        "name": name,
        "problems": problems,
        "rule_text": orjson.dumps(rule).decode() if rule else "",
        "catalogue": _catalogue(merchant, segment),
    }


def _save(request: HttpRequest, merchant: Merchant, segment: Segment | None, name: str, rule: Any) -> Segment:
    access = acting_for(request, merchant)
    if not name:
        raise _refusal("name", "Give the group a name.")
    if rule is None:
        raise _refusal("rule", "Add at least one condition.")
    if segment is None:
        return create_segment(access=access, name=name, kind=Segment.Kind.RULE, rule=rule)
    return update_segment(access=access, segment_id=segment.pk, changes={"name": name, "rule": rule})


def _typed_rule(request: HttpRequest) -> Any:
    """JSON of the form; None when nothing was put together yet. Raises BadRequest."""
    text = request.POST.get("rule", "").encode()
    if not text:
        return None
    if len(text) > RULE_BYTES_MAX:
        raise _refusal("rule", "This rule is too long.")
    return parse_json(text)


def _refusal(field: str, message: str) -> ApiError:
    from cloudpos.api.errors import BadRequest

    return BadRequest(errors=[FieldError(field, message)])


def _problems(refusal: ApiError) -> list[dict[str, str]]:
    """What is wrong and where: `pointer` leads into the rule, and is empty for the form itself."""
    named = refusal.errors or [FieldError(None, refusal.detail)]
    return [
        {
            "pointer": (error.field or "").removeprefix("rule")
            if (error.field or "").startswith("rule/")
            else "",
            "message": error.message,
        }
        for error in named
    ]


def _catalogue(merchant: Merchant, segment: Segment | None) -> dict[str, Any]:
    """What the builder offers: fields with their operators, and what the merchant has to choose from."""
    program = active_program(merchant.pk)
    tiers = [(tier.code, tier.name) for tier in program.tiers.all()] if program else []
    others = segments_of(merchant.pk).order_by("name").values_list("pk", "name")
    return {
        "fields": [
            {
                "name": field.name,
                "label": field.label,
                "group": field.group,
                "kind": field.kind,
                "ops": OPS[field.kind],
                "choices": field.choices or (tiers if field.name == "tier" else ()),
            }
            for field in FIELDS.values()
        ],
        "words": OP_WORDS,
        "metadata": metadata_in_use(merchant.pk),
        "categories": categories_sold(merchant.pk),
        "articles": articles_sold(merchant.pk),
        "metadataOps": METADATA_OPS,
        "stores": [
            [str(id_), name]
            for id_, name in Store.objects.for_merchant(merchant).order_by("name").values_list("pk", "name")
        ],
        "segments": [[str(id_), name] for id_, name in others if segment is None or id_ != segment.pk],
        "channels": Channel.choices,
        "purposes": Purpose.choices,
        "currency": merchant.currency,
    }
