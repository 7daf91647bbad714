"""The links of a content by number, from 1 on, whatever its channel."""

from collections.abc import Mapping
from typing import Any

from marketing.content.links import links_of
from marketing.content.text_links import text_links_of


def links_of_content(channel: str, content: Mapping[str, Any]) -> list[str]:
    """As their author wrote them."""
    if channel == "email":
        return links_of(content.get("html") or "")
    if channel == "sms":
        return text_links_of(content.get("text") or "")
    return [content["link"]] if channel == "push" and content.get("link") else []
