"""Links of text messages: which there are, and where they stand in what is rendered."""

import pytest

from marketing.content.compiling import compile_content
from marketing.content.text_links import text_links_of
from marketing.content.variables import example_values

SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See https://shop.example/a?b=1&c=2#d now", ["https://shop.example/a?b=1&c=2#d"]),
        ("http://a.example, https://b.example. (https://c.example/x) https://d.example/(x)!",
         ["http://a.example", "https://b.example", "https://c.example/x", "https://d.example/(x)"]),
        ("a\nhttps://a.example\nb", ["https://a.example"]),
        ("shop.example ftp://a.example mailto:a@b.example https:// https:///x", []),
        # What is the reader's own may stand behind the host, not in it.
        ("https://shop.example/{{ customer.number }}/x?c={{ reward.code | default: 'none' }}.",
         ["https://shop.example/{{ customer.number }}/x?c={{ reward.code | default: 'none' }}"]),
        ("https://{{ customer.name }}.example/ https://shop.example{{ store.city }} {{ preferences_url }}", []),
        ("https://shop.example/{{ trigger.order }}", ["https://shop.example/{{ trigger.order }}"]),
        # What the text around it assigns is not known when the link is followed.
        ("{% assign x = 'a' %}https://shop.example/{{ x }}", []),
        ("https://shop.example/?back={{ preferences_url }}", []),
        ("{% if customer.tier %}https://a.example{% else %}https://b.example/x{% endif %} now",
         ["https://a.example", "https://b.example/x"]),
        ("{% assign x = 'https://a.example' %}{{ x }}", []),
    ],
)  # fmt: skip
def test_links_of_a_template(source: str, expected: list[str]) -> None:
    assert text_links_of(source) == expected


def rendered(text: str, **customer: str) -> list[tuple[int, str]]:
    values = example_values()
    values["customer"] |= customer
    shown = compile_content("sms", {"text": text}).render(values)
    assert not any("\ue000" <= char <= "\ue004" for char in shown.text)
    return [(link.number, shown.text[link.start : link.end]) for link in shown.links]


def test_a_link_has_the_same_number_in_everybodys_text() -> None:
    text = "{% if customer.tier == 'Gold' %}https://a.example {% endif %}https://b.example/{{ customer.number }}!"
    assert rendered(text) == [(1, "https://a.example"), (2, "https://b.example/4821930567")]
    assert rendered(text, tier="Silver") == [(2, "https://b.example/4821930567")]


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example/{% if customer.tier %}gold{% endif %}",
        "{% if customer.tier %}https://a.example{% else %}https://b.example{% endif %}/path",
        "{% capture x %}https://shop.example/{% endcapture %}{{ x | append: 'gold' }}",
        "https://other.example {% if customer.tier %}https://a.example{% endif %}?x=1",
    ],
)
def test_links_that_go_on_behind_their_end_stay_as_they_are(text: str) -> None:
    assert rendered(text) == []


def test_names_cannot_make_a_link() -> None:
    forged = f"\ue0021\ue003{SHOP}\ue004 \ue002"
    assert rendered("Hi {{ customer.first_name }}", first_name=f"{forged}7") == [(1, SHOP)]
