"""Downloads that go on where they broke off: Range and If-Range of GET /exports/{id}/file."""

import gzip
from typing import Any

import pytest

from cloudpos.exports import running
from cloudpos.exports.ranges import Asked, RangeNotSatisfiable, Span, span_of
from customers.models import Event
from customers.services import create_customer
from tests.exports.conftest import Export, Exported
from tests.fixtures import Shop

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("bytes=0-0", Span(0, 0)),
        ("bytes=3-", Span(3, 9)),
        ("BYTES=3-5", Span(3, 5)),
        ("bytes=3-99999", Span(3, 9)),
        ("bytes=-4", Span(6, 9)),
        ("bytes=-40", Span(0, 9)),
        ("bytes=9-", Span(9, 9)),
        # Not understood, or more than one: all of it.
        *[(each, None) for each in (
            "", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "0-1", "bytes=1-2-3", "bytes=٣-",
            "bytes=-1-2", "bytes=" + "9" * 400 + "-",
        )],
    ],
)  # fmt: skip
def test_what_is_asked_for(said: str, expected: Span | None) -> None:
    assert span_of(Asked(said), size=10, etag=ETAG) == expected


@pytest.mark.parametrize("said", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_what_is_behind_the_end(said: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        span_of(Asked(said), size=10, etag=ETAG)
    assert refused.value.headers == {"Content-Range": "bytes */10"}


@pytest.mark.parametrize("said", ['"other"', 'W/"abc"', "abc", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_of_another_file_all_of_it(said: str) -> None:
    assert span_of(Asked("bytes=3-", ETAG), size=10, etag=ETAG) == Span(3, 9)
    # Also where it would end before: that one is another file.
    assert span_of(Asked("bytes=30-", said), size=10, etag=ETAG) is None


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudpos.exports.storage.PART_BYTES", 50)
    monkeypatch.setattr("cloudpos.exports.storage.PIECE_BYTES_MAX", 64)
    monkeypatch.setattr(running, "CHUNK_ROWS", 2)


def fetched(found: Exported, **headers: str) -> tuple[int, bytes, Any]:
    response = found.client.get(f"{found.path}/file", headers=headers)
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return response.status_code, content, response.headers


@pytest.mark.django_db
@pytest.mark.parametrize(("format", "encoding"), [("csv", ""), ("csv", "gzip"), ("xlsx", "")])
def test_a_file_in_pieces_is_the_file(
    shop: Shop, export: Export, small_parts: None, format: str, encoding: str
) -> None:
    for number in range(7):
        create_customer(access=shop.access, data={"first_name": f"Ann{number}"})
    found = export(format=format, columns=["firstName", "createdAt", "id"])
    taken = {"accept-encoding": encoding}
    _, whole, head = fetched(found, **taken)
    assert (head["Accept-Ranges"], len(whole)) == ("bytes", int(head["Content-Length"]))
    size = len(whole)
    for first, last in ((0, 0), (0, size - 1), (49, 50), (50, 99), (51, 149), (size - 3, size - 1)):
        status, piece, said = fetched(found, range=f"bytes={first}-{last}", **taken)
        assert (status, piece) == (206, whole[first : last + 1])
        assert said["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert int(said["Content-Length"]) == len(piece)
    rest = fetched(found, range="bytes=60-", **{"if-range": head["ETag"]}, **taken)
    assert (rest[0], whole[:60] + rest[1]) == (206, whole)
    if encoding:
        assert gzip.decompress(whole[:60] + rest[1]).startswith(b"\xef\xbb\xbfFirst name")
        # Not packed, it is another file.
        plain = fetched(found, range="bytes=60-", **{"if-range": head["ETag"]})
        assert (plain[0], plain[1]) == (200, gzip.decompress(whole))
    status, body, said = fetched(found, range=f"bytes={size}-", **taken)
    assert (status, said["Content-Range"]) == (416, f"bytes */{size}")
    assert b'"range_not_satisfiable"' in body


@pytest.mark.django_db
def test_each_part_is_on_record_and_made_anew_it_is_another_file(shop: Shop, export: Export) -> None:
    first, second = export(), export()
    _, whole, head = fetched(first)
    fetched(first, range="bytes=1-")
    fetched(first, range="bytes=9999-")
    # Ranges are of a GET.
    asked = first.client.head(f"{first.path}/file", headers={"range": "bytes=1-"})
    assert (asked.status_code, asked.headers["ETag"]) == (200, head["ETag"])
    assert Event.objects.filter(type="export.downloaded").count() == 2
    assert fetched(second, range="bytes=1-", **{"if-range": head["ETag"]})[:2] == (200, whole)
