"""The form of an export: what is wanted of the page that the person comes from, in the words of the API's filters."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, QueryDict

from cloudpos.exports.columns import Column
from cloudpos.exports.kinds import SOURCES
from cloudpos.exports.models import Export
from cloudpos.exports.sources import Source
from cloudpos.tenancy.models import Merchant, Store
from customers.models import Customer
from loyalty.models import Reward
from marketing.segment_reading import segments_of

# What the lists of the admin call it, and what the API does.
FROM_LISTS = {
    "q": "query", "type__exact": "type", "state__exact": "state", "store": "storeId", "customer": "customerId",
}  # fmt: skip
PERIODS = ("occurredFrom", "occurredTo")
FILTER_CHARS_MAX = 200
TITLES = {
    "query": "Search",
    "status": "Status",
    "type": "Type",
    "segment": "Lifecycle segment",
    "tier": "Tier",
    "tags": "Tags",
    "segmentId": "Group",
    "storeId": "Store",
    "customerId": "Customer",
    "rewardId": "Reward",
    "state": "State",
}


def kind_of(typed: QueryDict) -> str:
    kind = typed.get("kind", "")
    return kind if kind in SOURCES else Export.Kind.CUSTOMERS.value


def filters_of(source: Source, typed: QueryDict) -> dict[str, str]:
    """What narrows the export; whatever else stands in an address is left out."""
    known = source.filters.parameters()
    named = {FROM_LISTS.get(name, name): str(text).strip() for name, text in typed.items()}
    return {name: text[:FILTER_CHARS_MAX] for name, text in named.items() if name in known and text}


def form_context(request: HttpRequest, merchant: Merchant) -> dict[str, Any]:
    """The form as it is opened, or as it was typed and refused."""
    typed = request.POST if request.method == "POST" else request.GET
    kind = kind_of(typed)
    source = SOURCES[kind]
    filters = filters_of(source, typed)
    chosen = set(typed.getlist("column")) or set(source.defaults)
    groups: dict[str, list[tuple[Column, bool]]] = {}
    for column in source.columns.values():
        groups.setdefault(column.group, []).append((column, column.name in chosen))
    has_period = set(PERIODS) <= set(source.filters.parameters())
    return {
        "kind": kind,
        "source": source,
        "kinds": [(name, each.title) for name, each in SOURCES.items()],
        "format": typed.get("format", Export.Format.CSV.value),
        "formats": Export.Format.choices,
        "groups": groups,
        "chosen": sum(column_is_in for listed in groups.values() for _, column_is_in in listed),
        "has_period": has_period,
        "since": filters.get(PERIODS[0], ""),
        "until": filters.get(PERIODS[1], ""),
        "kept": {name: text for name, text in filters.items() if not (has_period and name in PERIODS)},
        "told": told(merchant, source, filters),
    }


def told(merchant: Merchant, source: Source, filters: Mapping[str, str]) -> list[str]:
    """The filters in words."""
    words = []
    for name, text in filters.items():
        if name in PERIODS:
            words.append(f"{'from' if name == PERIODS[0] else 'to'} {text}")
        elif name in TITLES:
            words.append(f"{TITLES[name]}: {_name(merchant, name, text)}")
        else:
            words.append(f"{name}: {text}")
    return words


def _name(merchant: Merchant, name: str, text: str) -> str:
    rows: Any = {
        "segmentId": segments_of(merchant.pk),
        "storeId": Store.objects.for_merchant(merchant),
        "customerId": Customer.objects.for_merchant(merchant),
        "rewardId": Reward.objects.for_merchant(merchant),
    }.get(name)
    if rows is None:
        return text.replace(",", ", ").replace("_", " ")
    try:
        return str(rows.filter(pk=text).first() or "–")
    except ValueError:
        return "–"
