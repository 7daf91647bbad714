"""Links and the picture of a mail: GET /t/{token} and GET /o/{token}."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client

from marketing.consents import links
from marketing.content.compiling import Rendered, compile_content
from marketing.content.links import links_of
from marketing.content.variables import example_values
from marketing.models import CampaignClick, CampaignMessage
from marketing.tracking import views
from marketing.tracking.recording import CLICKS_PER_MESSAGE_MAX
from marketing.tracking.rewriting import track, track_html
from marketing.tracking.tokens import URL_BYTES_MAX, click_url, open_url, read_click, read_open
from tests.fixtures import Shop
from tests.marketing.tracking.conftest import SENT_AT

SHOP = "https://shop.example/?a=1&b=2"
MERCHANT, MESSAGE = uuid.uuid4(), uuid.uuid4()
LATER = SENT_AT + timedelta(hours=1)


def path(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:3002")


def clicked(message: CampaignMessage, url: str = SHOP, link: int = 1) -> str:
    return path(click_url(merchant_id=message.merchant_id, message_id=message.pk, link=link, url=url))


def opened(message: CampaignMessage) -> str:
    return path(open_url(merchant_id=message.merchant_id, message_id=message.pk))


def noted(message: CampaignMessage) -> list[tuple[str, int]]:
    return list(CampaignClick.objects.filter(message=message).order_by("pk").values_list("kind", "link"))


# --- Rewriting --------------------------------------------------------------------------------------------------


def follow(html: str) -> list[tuple[int, str]]:
    """(link, URL) of what leads through us."""
    tracked = track_html(html, merchant_id=MERCHANT, message_id=MESSAGE)
    found = [
        part.split('"')[0].split("'")[0].split(">")[0].split(" ")[0] for part in tracked.split("/t/")[1:]
    ]
    read = [read_click(token) for token in found]
    assert all((each.merchant_id, each.message_id) == (MERCHANT, MESSAGE) for each in read)
    return [(each.link, each.url) for each in read]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="https://shop.example/?a=1&amp;b=2">x</a>', [(1, SHOP)]),
        ("<a href='http://shop.example/'>x</a>", [(1, "http://shop.example/")]),
        ("<a class=big href=https://shop.example/ id=y>x</a>", [(1, "https://shop.example/")]),
        ('<A\n  HREF = " https://shop.example/ "\n>x</A>', [(1, "https://shop.example/")]),
        ('<a href="https://a.example"><a href="https://b.example">', [(1, "https://a.example"), (2, "https://b.example")]),
        ('<map><area href="https://a.example"></map>', [(1, "https://a.example")]),
        ('<a title="a>b" href="https://a.example">x</a>', [(1, "https://a.example")]),
        ('<a data-href="https://a.example" href="mailto:a@b.example">x</a>', []),
        ('<a href="tel:+44">x</a><a href="#top">x</a><a name="x">x</a><a href="">x</a><a href>x</a>', []),
        ('<a href="ftp://a.example">x</a><a href="javascript:x">x</a><a href="//a.example">x</a>', []),
        ('<a href="http://127.0.0.1:3002/unsubscribe/abc">x</a><a href="http://127.0.0.1:3002/preferences/abc">x</a>', []),
        ('<a href="http://127.0.0.1:3002/unsubscriber">x</a>', [(1, "http://127.0.0.1:3002/unsubscriber")]),
        ('<!-- <a href="https://a.example"> --><style>a[href="https://a.example"]{}</style>', []),
        (f'<a href="https://a.example/{"x" * URL_BYTES_MAX}">x</a>', []),
        ('<a href="https://ä.example/ü?q=ö">x</a>', [(1, "https://ä.example/ü?q=ö")]),
    ],
)  # fmt: skip
def test_links_to_the_web_lead_through_us_and_no_others(html: str, expected: list[Any]) -> None:
    assert follow(html) == expected


def test_the_rest_of_a_mail_stays_as_it_is_and_the_picture_comes_last() -> None:
    html = '<html><body>\n<p title="&quot;">Hi &amp; <b>bye</p>\n<!-- x --></BODY></html>'
    tracked = track_html(html, merchant_id=MERCHANT, message_id=MESSAGE)
    before, picture, after = tracked.partition('<img src="http://127.0.0.1:3002/o/')
    assert before + after[after.index(">") + 1 :] == html
    assert before.endswith("<!-- x -->")
    assert read_open(after.split('"')[0]).message_id == MESSAGE


def test_what_cannot_be_read_stays_as_it_is() -> None:
    for html in ('<a href="https://a.example>x</a>', "<!-- <a href='https://a.example'>"):
        assert track_html(html, merchant_id=MERCHANT, message_id=MESSAGE) == html


def test_a_link_has_the_same_number_in_everybodys_mail() -> None:
    source = (
        "{% if customer.points > 1000 %}<a href='https://a.example'>a</a>{% endif %}"
        '<a href="https://b.example/{{ customer.tier }}">b</a>'
    )
    assert links_of(source) == ["https://a.example", "https://b.example/{{ customer.tier }}"]
    compiled = compile_content("email", {"subject": "x", "html": source})
    values = {**example_values(), "merchant": {}, "unsubscribe_url": ""}
    assert follow(compiled.render(values).html) == [(1, "https://a.example"), (2, "https://b.example/Gold")]
    values["customer"]["points"] = 5
    tracked = compiled.render(values).html
    assert follow(tracked) == [(2, "https://b.example/Gold")]
    assert "data-link" not in track_html(tracked, merchant_id=MERCHANT, message_id=MESSAGE)


def test_what_is_no_mail_stays_as_it_is() -> None:
    ids: dict[str, Any] = {"merchant_id": MERCHANT, "message_id": MESSAGE, "codes": {}}
    text = Rendered(text="https://shop.example/")
    assert track(text, **ids) is text
    mail = Rendered(subject="Hi", html='<a href="https://shop.example/">x</a>', text="https://shop.example/")
    tracked = track(mail, **ids)
    assert (tracked.subject, tracked.text) == ("Hi", "https://shop.example/")
    assert "/t/" in tracked.html and "/o/" in tracked.html


def test_the_link_of_a_push_message_leads_through_us() -> None:
    ids: dict[str, Any] = {"merchant_id": MERCHANT, "message_id": MESSAGE, "codes": {}}
    tracked = track(Rendered(title="Hi", body="Look", link=SHOP), **ids)
    followed = read_click(tracked.link.partition("/t/")[2])
    assert (followed.message_id, followed.link, followed.url) == (MESSAGE, 1, SHOP)
    app = Rendered(title="Hi", body="Look")
    assert track(app, **ids) is app


# --- Following --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_following_a_link_counts_once_as_a_click_and_as_an_opening(
    message: CampaignMessage, client: Client
) -> None:
    for minutes in (0, 5):
        with time_machine.travel(LATER + timedelta(minutes=minutes), tick=False):
            answer = client.get(clicked(message, link=3))
            assert (answer.status_code, answer.headers["Location"]) == (302, SHOP)
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert not answer.cookies
    message.refresh_from_db()
    assert (message.opened_at, message.clicked_at, message.state) == (LATER, LATER, "sent")
    assert noted(message) == [("click", 3), ("click", 3)]


@pytest.mark.django_db
def test_fetching_the_picture_counts_as_an_opening(message: CampaignMessage, client: Client) -> None:
    with time_machine.travel(LATER, tick=False):
        answer = client.get(opened(message), headers={"user-agent": "GoogleImageProxy bot"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a") and not answer.cookies
    assert "no-store" in answer.headers["Cache-Control"]
    message.refresh_from_db()
    assert (message.opened_at, message.clicked_at) == (LATER, None)
    assert noted(message) == [("open", 0)]


@pytest.mark.django_db
def test_a_later_click_leaves_the_first_opening(message: CampaignMessage, client: Client) -> None:
    with time_machine.travel(LATER, tick=False):
        client.get(opened(message))
    with time_machine.travel(LATER + timedelta(days=1), tick=False):
        client.get(clicked(message))
    message.refresh_from_db()
    assert (message.opened_at, message.clicked_at) == (LATER, LATER + timedelta(days=1))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers",
    [
        {"purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender"},
        {"x-moz": "prefetch"},
        {"user-agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
        {"user-agent": "Barracuda Sentinel (EE)"},
        {"user-agent": "python-requests/2.32"},
    ],
)
def test_machines_that_look_ahead_are_led_on_and_not_counted(
    message: CampaignMessage, client: Client, headers: dict[str, str]
) -> None:
    assert client.get(clicked(message), headers=headers).headers["Location"] == SHOP
    assert client.head(clicked(message)).headers["Location"] == SHOP
    assert client.head(opened(message)).status_code == 200
    message.refresh_from_db()
    assert (message.opened_at, message.clicked_at, noted(message)) == (None, None, [])


@pytest.mark.django_db
def test_it_leads_only_where_the_message_said(message: CampaignMessage, client: Client) -> None:
    token = clicked(message)
    other = click_url(
        merchant_id=message.merchant_id, message_id=message.pk, link=1, url="https://evil.example/"
    )
    body, signature = token[:-22], token[-22:]
    forged = [
        path(other)[:-22] + signature,
        body + "A" * len(signature),
        body,
        token + "=",
        token + "A",
        token[:-1],
        "/t/not-signed",
        "/t/" + path(opened(message)).removeprefix("/o/"),
        # Signed, but for something else.
        "/t/" + links.unsubscribe_url(
            merchant_id=message.merchant_id, customer_id=message.customer_id, channel="email"
        ).rsplit("/", 1)[1],
        clicked(message, url="javascript:alert(1)"),
        clicked(message, url="https://shop.example/\r\nSet-Cookie: x=y"),
    ]  # fmt: skip
    for each in forged:
        answer = client.get(each)
        assert (answer.status_code, answer.headers.get("Location")) == (404, None), each
    # The picture is shown in any case: a mail must not look broken.
    assert client.get("/o/not-signed").headers["Content-Type"] == "image/gif"
    assert noted(message) == []


@pytest.mark.django_db
def test_a_message_of_a_test_or_one_that_is_gone_leads_on(
    shop: Shop, message: CampaignMessage, client: Client
) -> None:
    gone = path(click_url(merchant_id=shop.merchant.pk, message_id=uuid.uuid4(), link=1, url=SHOP))
    assert client.get(gone).headers["Location"] == SHOP
    # Nor does a token of one merchant's touch another's message.
    elsewhere = path(click_url(merchant_id=uuid.uuid4(), message_id=message.pk, link=1, url=SHOP))
    assert client.get(elsewhere).headers["Location"] == SHOP
    assert noted(message) == []


@pytest.mark.django_db
def test_a_thousand_fetches_are_not_a_thousand_rows(message: CampaignMessage, client: Client) -> None:
    for _ in range(CLICKS_PER_MESSAGE_MAX + 5):
        client.get(opened(message))
    assert len(noted(message)) == CLICKS_PER_MESSAGE_MAX


@pytest.mark.django_db
def test_who_asks_too_often_is_led_on_and_not_counted(
    message: CampaignMessage, client: Client, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "tracking": 2}
    assert [client.get(clicked(message)).status_code for _ in range(4)] == [302] * 4
    assert len(noted(message)) == 2


@pytest.mark.django_db
def test_readers_get_where_they_want_to_while_the_database_is_away(
    message: CampaignMessage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> bool:
        raise OperationalError("the database is away")

    monkeypatch.setattr(views, "note_followed", away)
    assert client.get(clicked(message)).headers["Location"] == SHOP
    assert client.get(opened(message)).status_code == 200


# --- Unsubscribing ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_unsubscribing_by_a_message_is_put_down_to_it(message: CampaignMessage, client: Client) -> None:
    who = {"merchant_id": message.merchant_id, "customer_id": message.customer_id, "channel": "email"}
    plain, attributed = links.unsubscribe_url(**who), links.unsubscribe_url(**who, message_id=message.pk)
    assert client.post(path(plain)).status_code == 200
    message.refresh_from_db()
    assert message.unsubscribed_at is None
    client.get(path(attributed))
    message.refresh_from_db()
    assert message.unsubscribed_at is None
    for minutes in (0, 5):
        with time_machine.travel(LATER + timedelta(minutes=minutes), tick=False):
            assert client.post(path(attributed)).status_code == 200
    message.refresh_from_db()
    assert message.unsubscribed_at == LATER
