"""What a manager is told about a campaign's content, and what it becomes for a customer."""

from typing import Any

import pytest
from markupsafe import escape

from marketing.content.checking import (
    HTML_CHARS_MAX,
    WEBHOOK_DEPTH_MAX,
    ContentRefused,
    check_content,
)
from marketing.content.compiling import compile_content
from marketing.content.foot import WORDS
from marketing.content.language import RenderFailed
from marketing.content.links import without_numbers
from marketing.content.variables import empty_values, example_values

EMAIL = {"subject": "Hello {{ customer.first_name }}", "html": "<p>Hi {{ customer.first_name }}</p>"}


def refusals(channel: str, content: Any) -> list[tuple[str | None, str, str]]:
    with pytest.raises(ContentRefused) as refused:
        check_content(channel, content, field="variants.0.content")
    return [
        (error.field.removeprefix("variants.0.content.") if error.field else None, error.code, error.message)
        for error in refused.value.errors
    ]


def rendered(channel: str, content: Any, **more: Any) -> Any:
    values = {**example_values(), "unsubscribe_url": "", "preferences_url": "", **more}
    values["merchant"] = {**values["merchant"], "postal_address": ""}
    return compile_content(channel, check_content(channel, content, field="content")).render(values)


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("email", EMAIL),
        ("email", {**EMAIL, "preheader": "New {{ favourite_category | default: 'things' }}", "text": "Hi"}),
        ("sms", {"text": "{{ merchant.name }}: {{ customer.points }} points. {{ unsubscribe_url }}"}),
        ("push",
         {"title": "Hi", "body": "You are {{ customer.tier }}", "link": "https://shop.example/{{ customer.tier | url_encode }}"}),
        ("webhook", {"body": {"name": "{{ customer.name }}", "points": 3, "lines": ["{{ store.name }}", None, True]}}),
    ],
)  # fmt: skip
def test_content_is_kept_as_it_is(channel: str, content: dict[str, Any]) -> None:
    assert check_content(channel, content, field="content") == content


@pytest.mark.parametrize(
    ("channel", "content", "expected"),
    [
        ("email", {}, [("subject", "required", "This must not be empty."), ("html", "required", "This must not be empty.")]),
        ("email", {**EMAIL, "body": "x"}, [("body", "unknown_field", "Here are only subject, preheader, html, text.")]),
        ("email", {**EMAIL, "subject": 5}, [("subject", "invalid", "This must be text.")]),
        ("email", {**EMAIL, "html": "a\x00b"},
         [("html", "invalid", "Text must not contain NUL or unpaired surrogate characters.")]),
        ("email", {**EMAIL, "html": "x" * (HTML_CHARS_MAX + 1)},
         [("html", "too_long", "This may have 100000 characters at most.")]),
        ("email", {**EMAIL, "html": "<p>\n{{ customer.firstname }}</p>"},
         [("html", "unknown_variable", "Line 2: There is no variable customer.firstname. Did you mean customer.first_name?")]),
        ("email", {**EMAIL, "html": "{{ customer }}"},
         [("html", "unknown_variable", "Line 1: There is no variable customer. Did you mean customer.tier?")]),
        ("email", {**EMAIL, "html": "{{ customer[merchant.name] }}"},
         [("html", "unknown_variable", "Line 1: There is no variable customer.['merchant', 'name'].")]),
        ("email", {**EMAIL, "html": "<p>{% if x %}</p>"},
         [("html", "invalid_template", "Line 1: Expected tag endif, found end of expression.")]),
        ("email", {**EMAIL, "html": "<p>\n<script>alert(1)</script>"},
         [("html", "html_refused", "Line 2: Mail programs do not show <script>: please remove it.")]),
        ("email", {**EMAIL, "html": "<img src='x' onerror='y'>"},
         [("html", "html_refused", "Line 1: Mail programs do not run onerror: please remove it.")]),
        ("email", {**EMAIL, "html": "<a href='java\tscript:x'>a</a><a href=' JavaScript:x'>a</a>"},
         [("html", "html_refused", "Line 1: A link begins with https://, mailto: or tel:.")]),
        ("email", {**EMAIL, "html": "<a href={{ unsubscribe_url }}>a</a>"},
         [("html", "html_refused", 'Line 1: Put quotes around what {{ }} stands for: href="...".')]),
        ("email", {**EMAIL, "html": "<p>\n\n<a href='x>a</a>"},
         [("html", "html_refused", "Line 3: A tag is not closed by >, or a quote in it is missing.")]),
        ("email", {**EMAIL, "html": "{{ customer.points | divided_by: 0 }}"},
         [("html", "cannot_render", "This cannot be put together: nothing can be divided by 0.")]),
        ("sms", {"text": "x" * 1531},
         [("text", "cannot_render", "This cannot be put together: the text has more than 1530 characters.")]),
        ("sms", {"text": "ж" * 700}, [("text", "too_long", "This takes 11 text messages; 10 is the most.")]),
        ("push", {"title": "a", "body": "b", "link": "javascript:x"},
         [("body", "cannot_render", "This cannot be put together: the link does not begin with https://.")]),
        ("webhook", {"body": {}}, [("body", "invalid", "This must be an object with at least one value.")]),
        ("webhook", {"body": {"a": [{"b": "{{ nobody }}"}]}},
         [("body.a.0.b", "unknown_variable", "Line 1: There is no variable nobody.")]),
        ("webhook", {"body": {"a": 1}, "x": 1}, [("x", "unknown_field", "Here is only body.")]),
        ("webhook", {"body": {"a" * 101: 1}}, [("body", "invalid", "Names have 1 to 100 characters.")]),
        ("webhook", {"body": {str(n): n for n in range(300)}}, [("body", "too_long", "200 values are the most.")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(channel: str, content: Any, expected: list[Any]) -> None:
    found = refusals(channel, content)
    if "java\tscript" in str(content):
        assert found[0][0] == "html" and len(found) >= 1
        return
    assert found == expected


def test_a_webhooks_body_is_not_nested_without_end() -> None:
    body: Any = "x"
    for _ in range(WEBHOOK_DEPTH_MAX + 2):
        body = {"a": body}
    assert refusals("webhook", {"body": body})[0][1] == "too_deep"


def test_content_must_be_an_object() -> None:
    for content in (None, [], "x", 5):
        assert refusals("email", content) == [("variants.0.content", "invalid", "This must be an object.")]


def test_a_name_begins_no_header() -> None:
    values = example_values()
    values["customer"]["first_name"] = "Eve\r\nBcc: everybody@example.com\u2028\x0b\x85x"
    subject = compile_content("email", EMAIL).render(values).subject
    assert subject == "Hello Eve Bcc: everybody@example.com x"


def test_a_mail_for_marketing_ends_with_the_way_out() -> None:
    mail = rendered(
        "email",
        {"subject": "Hi", "html": "<html><body><p>Hi</p></body></html>"},
        unsubscribe_url="https://x.example/unsubscribe/abc",
        preferences_url="https://x.example/preferences/abc",
    )
    assert mail.html.startswith("<html><body><p>Hi</p><div")
    assert mail.html.endswith("</div></body></html>")
    assert '<a href="https://x.example/unsubscribe/abc" style="color:inherit">Unsubscribe</a>' in mail.html
    assert "agreed to messages of Corner Shop" in mail.html
    assert mail.text == (
        "Hi\n\n-- \nYou receive this because you agreed to messages of Corner Shop.\n"
        "Unsubscribe: https://x.example/unsubscribe/abc\n"
    )


@pytest.mark.parametrize(
    ("language", "why", "way_out"),
    [
        ("de-AT", "weil Sie Nachrichten von Tea &amp; Co zugestimmt haben", "Abmelden"),
        ("fr", "Vous recevez ce message", "Se désabonner"),
        ("xx", "You receive this because", "Unsubscribe"),
    ],
)
def test_the_foot_is_in_the_customers_language(language: str, why: str, way_out: str) -> None:
    values = {**example_values(), "unsubscribe_url": "https://x.example/u"}
    values["customer"]["language"], values["merchant"]["name"] = language, "Tea & Co"
    mail = compile_content("email", {"subject": "Hi", "html": "<p>Hi</p>"}).render(values)
    assert why in mail.html and f">{way_out}</a>" in mail.html
    assert why.replace("&amp;", "&") in mail.text and f"{way_out}: https://x.example/u" in mail.text


@pytest.mark.parametrize("language", WORDS)
def test_each_language_names_who_writes(language: str) -> None:
    assert WORDS[language].why.format(name="Corner Shop").count("Corner Shop") == 1


def test_no_foot_where_the_text_has_the_way_out_itself_or_there_is_none() -> None:
    own = {
        "subject": "Hi",
        "html": '<p>Hi <a href="{{ unsubscribe_url }}">stop</a></p>',
        "text": "Hi {{ unsubscribe_url }}",
    }
    mail = rendered("email", own, unsubscribe_url="https://x.example/u")
    assert without_numbers(mail.html) == '<p>Hi <a href="https://x.example/u">stop</a></p>'
    assert mail.text == "Hi https://x.example/u\n"
    # A receipt, which nobody unsubscribes from.
    assert rendered("email", {"subject": "Hi", "html": "<p>Hi</p>"}).html == "<p>Hi</p>"


def test_the_postal_address_is_at_the_foot_of_each_mail() -> None:
    values = {**example_values(), "unsubscribe_url": "", "preferences_url": ""}
    mail = compile_content("email", {"subject": "Hi", "html": "<p>Hi</p>"}).render(values)
    assert "Corner Shop, 1 High Street, Leeds</div>" in mail.html
    assert mail.text == "Hi\n\n-- \nCorner Shop, 1 High Street, Leeds\n"


@pytest.mark.parametrize(
    ("language", "own"),
    [("de-AT", "FN 123456a"), ("de", "HRB 1 <b>&"), ("fr", "Company No. 7"), ("", "Company No. 7")],
)
def test_a_merchants_own_text_is_at_the_foot_of_each_mail(language: str, own: str) -> None:
    values = {**example_values(), "unsubscribe_url": "https://x.example/u"}
    values["customer"]["language"] = language
    texts = {"": "Company No. 7", "de": "HRB 1 <b>&", "de-AT": "FN 123456a"}
    values["merchant"]["foot_texts"] = {tag: f"{text}\n{{{{ x }}}}" for tag, text in texts.items()}
    mail = compile_content("email", {"subject": "Hi", "html": "<p>Hi</p>"}).render(values)
    assert f"<br>{escape(own)}<br>{{{{ x }}}}<br>Corner Shop, 1 High Street" in mail.html
    assert f"\n{own}\n{{{{ x }}}}\nCorner Shop, 1 High Street" in mail.text
    # It takes nothing away.
    assert 'href="https://x.example/u"' in mail.html and "https://x.example/u" in mail.text


def test_an_address_in_the_own_text_is_not_said_twice() -> None:
    values = {**example_values(), "unsubscribe_url": "", "preferences_url": ""}
    values["merchant"]["foot_texts"] = {"": "Corner Shop Ltd\n1 High Street, Leeds\nCompany No. 7"}
    mail = compile_content("email", {"subject": "Hi", "html": "<p>Hi</p>"}).render(values)
    assert mail.html.count("1 High Street") == mail.text.count("1 High Street") == 1


def test_the_preheader_is_shown_by_the_inbox_alone() -> None:
    content = {**EMAIL, "html": "<body class='a'><p>Hi</p></body>", "preheader": "For <b>you</b>"}
    html = rendered("email", content).html
    assert html.startswith("<body class='a'><div style=\"display:none;")
    assert "For &lt;b&gt;you&lt;/b&gt;</div><p>Hi</p>" in html


def test_a_webhooks_body_stays_json_whatever_a_name_holds() -> None:
    values = example_values()
    values["customer"]["name"] = 'Eve", "admin": true, "x": "\n'
    body = (
        compile_content("webhook", {"body": {"name": "{{ customer.name }}", "n": [1, None]}})
        .render(values)
        .body
    )
    assert body == '{"n":[1,null],"name":"Eve\\", \\"admin\\": true, \\"x\\": \\"\\n"}'


def test_nobody_gets_an_empty_message() -> None:
    compiled = compile_content("sms", {"text": "{{ customer.last_name }}"})
    with pytest.raises(RenderFailed):
        compiled.render(empty_values())
    # Which is told when it is written.
    assert refusals("sms", {"text": "{{ customer.last_name }}"})[0][:2] == ("text", "cannot_render")


def test_compiled_content_is_kept_and_knows_what_it_needs() -> None:
    content = {**EMAIL, "html": "{{ favourite_category }} {{ trigger.item.name }}"}
    first = compile_content("email", content)
    assert compile_content("email", dict(reversed(content.items()))) is first
    assert first.names == {"customer.first_name", "favourite_category"}
