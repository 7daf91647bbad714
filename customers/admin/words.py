"""How rows, numbers and the facts of events read on a page."""

import re
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from cloudpos.tenancy.formats import count
from customers.models import Customer


def customer_link(customer: Customer | None) -> SafeString | str:
    if customer is None:
        return "–"
    return link("customers_customer", customer)


def link(page: str, row: Any, text: str = "") -> SafeString:
    """A link to a row's own page, under its name."""
    url = reverse(f"admin:{page}_change", args=[row.pk])
    return format_html('<a class="cp-link" href="{}">{}</a>', url, text or str(row))


def numbers(text: str) -> str:
    """`text` right-aligned in its column."""
    return format_html('<span class="cp-number">{}</span>', text)


def event_words(type: str) -> str:
    """tier.changed as "Tier changed"."""
    return type.replace(".", " ").replace("_", " ").capitalize()


def in_words(data: Any) -> list[tuple[str, str]]:
    """(name, value) of what an event says, for people: without the ids that only machines follow."""
    if not isinstance(data, dict):
        return []
    found = []
    for key, value in data.items():
        if value in (None, "", [], {}) or key == "id" or key.endswith(("Id", "Ids")):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
            continue
        name = capfirst(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " ").lower())
        found.append((name, value_in_words(value)))
    return found


def value_in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list):
        return ", ".join(value_in_words(each) for each in value)
    text = str(value).replace("_", " ")
    return text.upper() if text == "vip" else text
