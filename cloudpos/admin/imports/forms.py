"""The form of the columns: what the file's columns are, and what becomes of the rows."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from cloudpos.tenancy.models import Merchant
from customers.imports.fields import METADATA, TARGETS, title_of
from customers.imports.reading import columns_of
from customers.imports.settings import (
    KEYS,
    MODES,
    SOURCE_CHARS_MAX,
    WORDING_CHARS_MAX,
    has_consents,
    settings_of,
)
from customers.imports.tables import CSV, ENCODINGS
from customers.models import Import
from customers.models.customer import TAG_CHARS_MAX, TAGS_MAX

LEFT_OUT = ""
DELIMITERS = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar |"}
DAY_ORDERS = {"dmy": "Day, month, year", "mdy": "Month, day, year", "ymd": "Year, month, day"}


def settings_context(request: HttpRequest, source: Import, merchant: Merchant) -> dict[str, Any]:
    """What the form shows: what is kept, or what was typed just now and refused."""
    typed: Mapping[str, str] = request.POST if request.method == "POST" else {}
    settings = settings_of(source.settings)
    columns = []
    for column in columns_of(source):
        chosen = typed.get(f"column-{column['index']}", column["field"] or LEFT_OUT)
        own = [name for name in {column["suggestion"], chosen} if name and name.startswith(METADATA)]
        columns.append({**column, "chosen": chosen, "own": sorted((name, title_of(name)) for name in own)})
    groups: dict[str, list[tuple[str, str]]] = {}
    for target in TARGETS.values():
        groups.setdefault(target.group, []).append((target.name, target.title))
    shown = {column["chosen"] for column in columns}
    return {
        "columns": columns,
        "groups": groups,
        "layout": source.layout,
        "is_csv": source.layout.get("format") == CSV,
        "settings": settings,
        "add_tags": typed.get("add_tags", ", ".join(settings.add_tags)),
        "consent_source": typed.get("consent_source", settings.consent_source),
        "consent_wording": typed.get("consent_wording", settings.consent_wording),
        "modes": MODES.items(),
        "keys": [(key, title) for key, title in KEYS.items() if key in shown or key in settings.match_by],
        "encodings": ENCODINGS.items(),
        "delimiters": DELIMITERS.items(),
        "day_orders": DAY_ORDERS.items(),
        "has_days": "dateOfBirth" in shown,
        "has_phones": "phone" in shown,
        "has_consents": has_consents(settings),
        "left_out": sum(not column["chosen"] for column in columns),
        "country": merchant.country,
        "source_chars_max": SOURCE_CHARS_MAX,
        "wording_chars_max": WORDING_CHARS_MAX,
    }


def read_settings(request: HttpRequest, source: Import, *, reread: bool) -> dict[str, Any]:
    """What was typed, as `change_import` takes it. With `reread` only how the file is read."""
    typed = request.POST
    if reread:
        changes: dict[str, Any] = {"has_header": "has_header" in typed}
        for name in ("encoding", "sheet"):
            if typed.get(name):
                changes[name] = typed[name]
        if typed.get("delimiter") in DELIMITERS:
            changes["delimiter"] = typed["delimiter"]
        return changes
    count = len(source.layout.get("columns", ()))
    columns = {
        place: typed[f"column-{place}"] or None for place in range(count) if f"column-{place}" in typed
    }
    tags = [tag.strip()[:TAG_CHARS_MAX] for tag in typed.get("add_tags", "").split(",")]
    chosen: dict[str, Any] = {
        "columns": columns,
        "mode": typed.get("mode") if typed.get("mode") in MODES else "both",
        "match_by": tuple(key for key in KEYS if key in typed.getlist("match_by")),
        "empty_cells": "erase" if "erase" in typed else "keep",
        "add_tags": tuple(filter(None, tags))[:TAGS_MAX],
        "consent_source": typed.get("consent_source", "").strip()[:SOURCE_CHARS_MAX],
        "consent_wording": typed.get("consent_wording", "").strip()[:WORDING_CHARS_MAX],
    }
    # A key is one that the file has, also when its column was chosen only now.
    if not chosen["match_by"]:
        chosen["match_by"] = tuple(key for key in KEYS if key in columns.values())
    if typed.get("day_order") in DAY_ORDERS:
        chosen["day_order"] = typed["day_order"]
    country = typed.get("phone_country", "").strip().upper()
    if len(country) == 2 and country.isascii() and country.isalpha():
        chosen["phone_country"] = country
    return chosen
