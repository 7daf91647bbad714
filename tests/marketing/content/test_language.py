"""The language of campaign texts: what it can do, and that whatever is written in it stays within its bounds."""

from datetime import date
from typing import Any

import pytest

from marketing.content.language import (
    FILTER_CALLS_MAX,
    NESTING_MAX,
    OUTPUT_BYTES_MAX,
    TAGS_MAX,
    RenderFailed,
    TextWrong,
    read_template,
)

ALICE: dict[str, Any] = {
    "customer": {"first_name": "Alice <b>", "points": 1250, "tier": "Gold", "last_name": ""},
    "last_visit": date(2026, 1, 5),
    "trigger": {"items": [{"name": "Tea"}, {"name": "Pot & lid"}], "total": "12.5"},
}


def shown(source: str, *, html: bool = False) -> str:
    return read_template(source, html=html).render(ALICE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {{ customer.first_name }}", "Hello Alice <b>"),
        ("{{ customer.last_name | default: 'friend' }}", "friend"),
        ("{{ customer.nickname | default: 'friend' }}", "friend"),
        ("{{ 0 | default: 5 }}", "0"),
        ("{% if customer.points >= 1000 %}Many{% else %}Few{% endif %}", "Many"),
        ("{% unless customer.tier == 'Gold' %}No{% endunless %}", ""),
        ("{% case customer.tier %}{% when 'Gold', 'Silver' %}Metal{% else %}-{% endcase %}", "Metal"),
        ("{% for item in trigger.items %}{{ item.name }}{% unless forloop.last %}, {% endunless %}{% endfor %}",
         "Tea, Pot & lid"),
        ("{% for i in (1..3) reversed %}{{ i }}{% endfor %}", "321"),
        ("{% assign half = customer.points | divided_by: 2 %}{{ half }}", "625"),
        ("{% capture hi %}Hi {{ customer.tier }}{% endcapture %}{{ hi }}!", "Hi Gold!"),
        ("{{ customer.points | plus: 50 | times: 2 | thousands }}", "2,600"),
        ("{{ trigger.total | money }} {{ 1 | divided_by: 3.0 }} {{ 7 | modulo: 4 }}", "12.50 0.333333 3"),
        ("{{ 1.5 | ceil }}{{ 1.5 | floor }}{{ 2.345 | round: 2 }}{{ -3 | abs }}", "212.353"),
        ("{{ 5 | at_least: 7 }} {{ 5 | at_most: 3 }}", "7 3"),
        ("{{ last_visit | date: '%-d %B %Y, %A' }}", "5 January 2026, Monday"),
        ("{{ '2026-02-01' | date }} {{ 'soon' | date: '%d' }}|", "01 Feb 2026 |"),
        ("{{ 'a-b-c' | split: '-' | join: ' + ' }} {{ 'a-b' | split: '-' | last }}", "a + b + c b"),
        ("{{ 'tea and more' | truncate: 6 }} {{ 'tea and more' | truncatewords: 2 }}", "tea... tea and..."),
        ("{{ 'x' | append: 'y' | prepend: 'w' | upcase | downcase | capitalize }}", "Wxy"),
        ("{{ ' a b ' | strip | replace: ' ', '_' | remove: 'a' | size }}", "2"),
        ("{{ 'a b&c' | url_encode }}", "a%20b%26c"),
        ("{% comment %}{{ nothing }}{% endcomment %}{% # a note %}.", "."),
        ("{{ customer.first_name.__class__ }}|{{ customer.__init__ }}|{{ trigger.items.__len__ }}", "||"),
    ],
)  # fmt: skip
def test_what_it_can_do(source: str, expected: str) -> None:
    assert shown(source) == expected


def test_what_stands_for_a_variable_is_escaped_in_html_and_what_the_author_wrote_is_not() -> None:
    assert shown("<i>{{ customer.first_name }}</i>", html=True) == "<i>Alice &lt;b&gt;</i>"
    # However it is put together.
    for source in (
        "{{ customer.first_name | append: '<br>' }}",
        "{{ '<br>' | prepend: customer.first_name }}",
        "{% capture x %}{{ customer.first_name }}{% endcapture %}{{ x | append: '<br>' }}",
        "{% assign x = customer.first_name | append: '<br>' %}{{ x }}",
    ):
        assert shown(source, html=True) == "Alice &lt;b&gt;<br>", source
    assert "<b>" not in shown("{{ customer.first_name | newline_to_br | replace: 'Alice', '' }}", html=True)
    assert "<b>" not in shown("{{ '&' | replace: '&', customer.first_name }}", html=True)
    assert "<b>" not in shown("{{ customer.first_name | split: ' ' | join: '<br>' }}", html=True)
    assert "<b>" not in shown("{{ customer.first_name | split: ' ' | last }}", html=True)
    assert "<b>" not in shown("{{ customer.first_name | truncate: 40 | strip | upcase }}", html=True).lower()


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("a\n{{ customer.points", 2, "{{ is not closed by }}"),
        ("a\n\n{% if x", 3, "{% is not closed by %}"),
        ("{% if customer.points %}a", 1, "endif"),
        ("a\n{% iff x %}", 2, "There is no tag iff. Did you mean if?"),
        ("{% %}", 1, "A tag needs a name."),
        ("a\n{{ customer.points | pluss: 2 }}", 2, "There is no filter pluss. Did you mean plus?"),
        ("{{ customer.points | }}", 1, ""),
        ("{{ }}", 1, ""),
        ("{% assign x = (1..9) %}", 1, "(1..9) can only be used in a for tag."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(source: str, line: int, message: str) -> None:
    with pytest.raises(TextWrong) as wrong:
        read_template(source)
    assert (wrong.value.line, message in wrong.value.message) == (line, True), wrong.value


def test_variables_are_found_where_they_stand() -> None:
    used = read_template("{{ customer.points }}\n{% assign mine = 1 %}{{ mine }}\n{{ stor.name }}").used
    assert {(each.name, each.line) for each in used} == {("customer.points", 1), ("stor.name", 3)}


REFUSED_WHEN_READ = {
    "include": "{% include 'x' %}",
    "render": "{% render 'x' %}",
    "import": "{% import 'x' as y %}",
    "layout": "{% layout 'x' %}",
    "extends": "{% extends 'x' %}{% block a %}{% endblock %}",
    "a path": "{% include '/etc/passwd' %}",
    "liquid": "{% liquid\nassign x = 1\necho x %}",
    "raw": "{% raw %}{{ x }}{% endraw %}",
    "raw never closed, often": "{% raw %}" * 10_000,
    "tablerow": "{% tablerow i in (1..10) cols:2 %}{{ i }}{% endtablerow %}",
    "increment": "{% increment x %}",
    "cycle": "{% cycle 'a', 'b' %}",
    "echo": "{% echo x %}",
    "macro": "{% macro x %}{% endmacro %}",
    "with": "{% with a: 1 %}{% endwith %}",
    "doc never closed, often": "{% doc %}" * 10_000,
    "opened, often": "{{" * 50_000,
    "a tag opened, often": "{%" * 50_000,
    "opened and spaces": "{{" + " " * 90_000,
    "a tag and spaces": "{% if" + " " * 90_000,
    "spaces, closed": "{{" + " " * 400 + "}}",
    "spaces, closed, often": ("{%" + " " * 400 + "if x %}") * 200,
    "a name of a kilometre": "{{ " + "a" * 90_000 + " }}",
    "safe": "{{ customer.first_name | safe }}",
    "escape_once": "{{ customer.first_name | escape_once }}",
    "base64": "{{ customer.first_name | base64_decode }}",
    "map": "{{ trigger.items | map: '__class__' }}",
    "where": "{{ trigger.items | where: 'name', 'Tea' }}",
    "sort": "{{ trigger.items | sort: 'name' }}",
    "strip_html": "{{ customer.first_name | strip_html }}",
    "a range that is searched": "{% if (1..999999999) contains 'x' %}{% endif %}",
    "a range that is kept": "{% assign r = (1..999999999) %}{% if r contains 'x' %}{% endif %}",
    "a range that is written": "{{ (1..999999999) | join: ',' }}",
    "a range in a case": "{% case x %}{% when (1..99999999) %}{% endcase %}",
    "nested": "{% if true %}" * 5_000 + "{% endif %}" * 5_000,
    "nested a little": "{% if true %}" * (NESTING_MAX + 1) + "{% endif %}" * (NESTING_MAX + 1),
    "brackets in brackets": "{{ " + "a[" * 200 + "]" * 200 + " }}",
    "parentheses": "{% if " + "(" * 400 + " %}{% endif %}",
    "many variables": "{{ x }}" * (TAGS_MAX + 1),
    "many conditions": "{% if true %}{% endif %}" * TAGS_MAX,
    "a number of 400 digits in an index": "{{ a[" + "9" * 450 + "]" + "b" * 60 + " }}",
}  # fmt: skip
REFUSED_WHEN_RENDERED = {
    "a long loop": "{% for i in (1..1000000000) %}x{% endfor %}",
    "a long loop backwards": "{% for i in (1..1000000000) reversed %}x{% endfor %}",
    "a loop of digits": "{% for i in (1.." + "9" * 400 + ") %}x{% endfor %}",
    "a loop with a limit": "{% for i in (1..1000000000) limit: 3 %}x{% endfor %}",
    "loops in loops": "{% for a in (1..99) %}{% for b in (1..99) %}{% for c in (1..99) %}x{% endfor %}{% endfor %}{% endfor %}",
    "loops one after another": "{% for a in (1..500) %}x{% endfor %}" * 20,
    "a loop of many tags": "{% for a in (1..500) %}" + "{{ a }}" * 100 + "{% endfor %}",
    "a loop to a variable": "{% assign n = 900000 | times: 900 %}{% for a in (1..n) %}x{% endfor %}",
    "doubling": "{% assign x = 'aaaaaaaa' %}{% for i in (1..40) %}{% assign x = x | append: x %}{% endfor %}",
    "doubling what is captured":
        "{% assign x = 'aaaa' %}{% for i in (1..40) %}{% capture x %}{{ x }}{{ x }}{% endcapture %}{% endfor %}",
    "replacing nothing": "{% assign x = 'aaaaaaaaaaaaaaaaaaaa' %}" + "{% assign x = x | replace: '', x %}" * 8,
    "replacing much": "{% assign x = 'a' %}" + "{% assign x = x | append: x %}" * 12 + "{{ x | replace: '', x | size }}",
    "squaring": "{% assign x = 99999 %}" + "{% assign x = x | times: x %}" * 20,
    "squaring parts":
        "{% assign x = 1.00001 %}{% assign y = '1e400' | times: 1 %}" + "{% assign x = 99999999 | times: 99999999 %}" * 2,
    "much text": "{% assign x = 'a' %}" + "{% assign x = x | append: x %}" * 12 + "{% for i in (1..300) %}{{ x }}{% endfor %}",
    "many filters": "{% for i in (1..200) %}{{ i" + " | plus: 1" * 20 + " }}{% endfor %}",
    "a date of a gigabyte": "{{ last_visit | date: '%1000000000d' }}",
    "a date of our own": "{{ last_visit | date: '%c %Q' }}",
    "dividing by nothing": "{{ 1 | divided_by: 0 }}",
    "modulo nothing": "{{ 1 | modulo: 0 }}",
    "splitting everything": "{% assign x = 'a' %}" + "{% assign x = x | append: x %}" * 11 + "{{ x | split: 'a' | size }}",
    "splitting at nothing": "{{ 'abc' | split: '' }}",
    "too many arguments": "{{ 'a' | upcase: 1, 2, 3 }}",
    "too few arguments": "{{ 'a' | append }}",
    "named arguments": "{{ 'a' | default: 'b', evil: 1 }}",
    "comparing what cannot be": "{% if trigger.items < 3 %}a{% endif %}",
}  # fmt: skip


def test_there_are_fifty_of_them() -> None:
    assert len(REFUSED_WHEN_READ) + len(REFUSED_WHEN_RENDERED) >= 50


@pytest.mark.parametrize("name", REFUSED_WHEN_READ)
def test_hostile_texts_are_refused_when_they_are_read(name: str) -> None:
    with pytest.raises(TextWrong):
        read_template(REFUSED_WHEN_READ[name])


@pytest.mark.parametrize("name", REFUSED_WHEN_RENDERED)
@pytest.mark.parametrize("html", [False, True])
def test_hostile_texts_are_bounded_when_they_are_rendered(name: str, html: bool) -> None:
    template = read_template(REFUSED_WHEN_RENDERED[name], html=html)
    with pytest.raises(RenderFailed) as failed:
        template.render(ALICE)
    assert "Alice" not in str(failed.value)


def test_the_bounds_leave_room_for_real_mails() -> None:
    item = "<tr><td>{{ item.name | upcase }}</td><td>{{ item.price | money }}</td></tr>"
    template = read_template(
        f"{{% for item in trigger.items %}}{item}{{% endfor %}}" + "{{ customer.tier }}" * 40
    )
    rows = [{"name": "Tea", "price": "3"}] * 100
    assert template.render({"trigger": {"items": rows}}).count("<tr>") == 100
    assert 2 * len(rows) < FILTER_CALLS_MAX and OUTPUT_BYTES_MAX >= 200_000
