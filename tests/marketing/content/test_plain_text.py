"""The plain text of a mail, and how many text messages a text takes."""

import pytest

from marketing.content.compiling import compile_content
from marketing.content.html import HtmlWrong, tags
from marketing.content.plain_text import plain_text
from marketing.content.text_messages import Segments, segments
from marketing.content.variables import example_values


def test_what_is_read_is_there_and_nothing_else() -> None:
    html = """<!DOCTYPE html><html><head><title>No</title><style>p > a { color: red }</style></head>
    <body><!-- <p>no</p> --><h1>Big&nbsp;sale &amp; more</h1>
    <p>See <a href="https://shop.example/?a=1&amp;b=2">our   shop</a> or
    <a href='https://shop.example'>https://shop.example</a>.<br/>Bye</p>
    <ul><li>One</li><li>Two</li></ul>
    <table><tr><td>Tea</td><td>3.00</td></tr><tr><td>Pot</td><td>9.00</td></tr></table>
    <a href="mailto:us@shop.example">Write</a> <a href="tel:+44207">+44207</a> <a href="#top">Up</a>
    <img src="x.png" alt="A pot"></body></html>"""
    assert plain_text(html) == (
        "Big sale & more\n\nSee our shop (https://shop.example/?a=1&b=2) or https://shop.example.\nBye\n\n"
        "- One\n- Two\n\nTea 3.00\n\nPot 9.00\n\nWrite (us@shop.example) +44207 Up A pot"
    )


@pytest.mark.parametrize(
    "html",
    ["<!--" * 25_000, "<a " * 33_000, "<![CDATA[" * 11_000, "</" * 50_000, '<a b="' * 16_000, "<?" * 50_000,
     "<script>" * 12_000, "<style>" * 14_000, "<a href=" * 12_000, "<a b='" + "x" * 90_000],
)  # fmt: skip
def test_what_is_never_closed_is_refused_at_its_first_place(html: str) -> None:
    with pytest.raises(HtmlWrong) as wrong:
        list(tags(html))
    assert wrong.value.index == 0


@pytest.mark.parametrize("html", ["a < b and c > d", "1 <2", "", "&amp;" * 20_000, "<<b>>", "<p\n>x</p\n>"])
def test_odd_html_is_read(html: str) -> None:
    assert isinstance(plain_text(html), str)


def text_of(html: str) -> str:
    values = {**example_values(), "unsubscribe_url": "", "preferences_url": ""}
    values["merchant"] = {}
    return compile_content("email", {"subject": "x", "html": html}).render(values).text


def test_the_text_follows_the_variables_of_the_html() -> None:
    assert text_of("<p>{{ customer.first_name }} &amp; {{ '<b>' }}</p>") == "Alice & <b>\n"
    assert (
        text_of('<a href="{{ unsubscribe_url }}x">{% if customer.points > 5 %}Out{% endif %}</a>')
        == "Out (x)\n"
    )


def test_a_tag_that_the_text_would_lose_is_not_lost() -> None:
    """It stands where the text has nothing: then the text is made of what was rendered."""
    assert text_of("<style>{% assign x = 'red' %}</style><p>{{ x }}</p>") == "red\n"
    assert text_of("<p {% if customer.points > 5 %}class='a'{% endif %}>Hi</p>") == "Hi\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments("GSM-7", 0, 0)),
        ("a" * 160, Segments("GSM-7", 160, 1)),
        ("a" * 161, Segments("GSM-7", 161, 2)),
        ("a" * 306, Segments("GSM-7", 306, 2)),
        ("a" * 307, Segments("GSM-7", 307, 3)),
        ("€" * 80, Segments("GSM-7", 160, 1)),
        # 76 euros fill 152 of 153 places: the next one does not fit into the last.
        ("€" * 153, Segments("GSM-7", 306, 3)),
        ("Größe: 5 £ à ñ", Segments("GSM-7", 14, 1)),
        ("ж" * 70, Segments("UCS-2", 70, 1)),
        ("ж" * 71, Segments("UCS-2", 71, 2)),
        ("a" * 69 + "😀", Segments("UCS-2", 71, 2)),
        ("a" * 66 + "😀" + "a" * 66, Segments("UCS-2", 134, 3)),
        ("it’s", Segments("UCS-2", 4, 1)),
    ],
)
def test_text_messages_are_counted_as_networks_count(text: str, expected: Segments) -> None:
    assert segments(text) == expected
