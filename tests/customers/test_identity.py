"""Pure rules: who is one person, what is searched for."""

import uuid
from datetime import date
from itertools import islice

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.identity import (
    NotAnEmail,
    NotAPhone,
    customer_numbers,
    is_customer_number,
    luhn_digit,
    name_to_sort_by,
    new_customer_number,
    normal_email,
    normal_phone,
    normal_tags,
)
from customers.search import fold, lexemes, prefix_query, words


@pytest.mark.parametrize(
    ("raw", "shown", "key"),
    [
        ("", "", ""),
        (" bob@example.com ", "bob@example.com", "bob@example.com"),
        ("Bob.Smith+till@EXAMPLE.Com", "Bob.Smith+till@example.com", "bob.smith+till@example.com"),
        ("bob@bücher.example", "bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob@xn--bcher-kva.example", "bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("BÖB@example.com", "BÖB@example.com", "böb@example.com"),
        ("bob@shop.test", "bob@shop.test", "bob@shop.test"),
    ],
)
def test_email(raw: str, shown: str, key: str) -> None:
    assert normal_email(raw) == (shown, key)


@pytest.mark.parametrize(
    "raw",
    [
        "bob",
        "@example.com",
        "bob@",
        "bob@localhost",
        "b b@example.com",
        "bob@example..com",
        ".bob@example.com",
        "bob@-example.com",
        "bob@x.local",
        "bob@x.invalid",
        f"{'b' * 65}@example.com",
        f"bob@{'a.' * 130}com",
        "b\u202eob@example.com",
    ],
)
def test_no_email(raw: str) -> None:
    with pytest.raises(NotAnEmail):
        normal_email(raw)


@given(st.emails())
def test_an_emails_key_is_its_own_key(raw: str) -> None:
    try:
        shown, key = normal_email(raw)
    except NotAnEmail:
        return
    assert normal_email(key)[1] == key
    assert normal_email(shown)[1] == key


@pytest.mark.parametrize(
    ("raw", "country", "phone"),
    [
        ("", "GB", ""),
        ("020 7183 8750", "GB", "+442071838750"),
        ("+44 20 7183 8750", "US", "+442071838750"),
        ("0044 20 7183 8750", "DE", "+442071838750"),
        ("(212) 555-0100", "US", "+12125550100"),
        ("\uff10\uff12\uff10 7183 8750", "GB", "+442071838750"),
        ("tel:+44-20-7183-8750", "", "+442071838750"),
        ("07700 900123", "GB", "+447700900123"),
    ],
)
def test_phone(raw: str, country: str, phone: str) -> None:
    assert normal_phone(raw, country=country) == phone


@pytest.mark.parametrize(
    ("raw", "country"),
    [
        ("12", "GB"),
        ("abc", "GB"),
        ("020 7183 8750", ""),
        ("+4420718387501234567", "GB"),
        ("020 7183 8750 x5", "GB"),
    ],
)
def test_no_phone(raw: str, country: str) -> None:
    with pytest.raises(NotAPhone):
        normal_phone(raw, country=country)


def by_the_library(raw: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def by_us(raw: str, country: str) -> str | None:
    try:
        return normal_phone(raw, country=country)
    except NotAPhone:
        return None


@given(st.from_regex(r"\+[1-9][0-9]{5,15}", fullmatch=True))
def test_the_short_way_agrees_with_the_library(raw: str) -> None:
    assert by_us(raw, "") == by_the_library(raw, None)


@given(
    st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)),
    st.sampled_from(["", "0", "00", "1", "8", "06", "9", "("]),
    st.sampled_from(["", " ", "-", "/", ") ", ". "]),
    st.integers(0, 4),
    st.from_regex(r"[0-9]{4,12}", fullmatch=True),
)
def test_the_short_way_of_a_national_number_agrees_with_the_library(
    country: str, dialled: str, between: str, place: int, digits: str
) -> None:
    raw = dialled + digits[:place] + between + digits[place:]
    assert by_us(raw, country) == by_the_library(raw, country)
    example = phonenumbers.example_number(country)
    if example is not None:
        # Of the country's own form, whatever stands before it.
        raw = dialled + str(example.national_number)
        assert by_us(raw, country) == by_the_library(raw, country)


def test_customer_numbers() -> None:
    # The worked example of ISO/IEC 7812-1: 7992739871 has the check digit 3.
    assert luhn_digit("7992739871") == "3"
    numbers = {new_customer_number() for _ in range(500)}
    assert len(numbers) == 500
    assert all(is_customer_number(number) for number in numbers)
    for share in range(7):
        drawn = set(islice(customer_numbers(share=share, shares=7, at_once=20), 50))
        assert len(drawn) == 50 and all(is_customer_number(number) for number in drawn)
        assert {(int(number[:-1]) - 10**8) % 7 for number in drawn} == {share}


@given(st.integers(0, 8), st.integers(1, 9))
def test_a_wrong_digit_is_noticed(place: int, change: int) -> None:
    number = new_customer_number()
    wrong = number[:place] + str((int(number[place]) + change) % 10) + number[place + 1 :]
    assert not is_customer_number(wrong)


def test_tags() -> None:
    assert normal_tags(["  VIP ", "vip", "Big  spender", "", " "]) == ["big spender", "vip"]


def test_the_name_to_sort_by() -> None:
    parts = {
        "first_name": "Zoë",
        "last_name": "Ærø",
        "company_name": "Ümlaut Ltd",
        "email": "z@x.org",
        "phone": "+44",
    }
    assert name_to_sort_by(is_business=False, **parts) == "aero zoe"
    assert name_to_sort_by(is_business=True, **parts) == "umlaut ltd"
    nameless = {**parts, "first_name": "", "last_name": "", "company_name": ""}
    assert name_to_sort_by(is_business=True, **nameless) == "z@x.org"
    assert name_to_sort_by(is_business=False, **{**nameless, "email": ""}) == "+44"


def test_fold() -> None:
    assert fold("ÉCOLE Straße Łódź ﬁx") == "ecole strasse lodz fix"


def test_words() -> None:
    assert words("O’Neil-Smith") == ["o", "neil-smith", "neil", "smith"]
    assert words("jean.dupont@x.fr") == ["jean.dupont@x.fr", "jean", "dupont", "x", "fr"]


def test_lexemes_carry_the_merchant() -> None:
    store = uuid.UUID("018f0000-0000-7000-8000-000000000001")
    found = lexemes(
        search_key="aa",
        texts=["Zoë", None],
        phone="+12345",
        tags=["vip"],
        birth=date(1984, 2, 29),
        home_store_id=store,
    )
    assert found == ["aa:wzoe", "aa:d12345", "aa:d2345", "aa:gvip", "aa:m02", f"aa:s{store.hex}"]


def test_a_query_is_a_conjunction_of_prefixes() -> None:
    assert prefix_query(search_key="aa", text="Zoë O'Neil") == "'aa:wzoe':* & 'aa:wo':* & 'aa:wneil':*"
    assert (
        prefix_query(search_key="aa", text="0207183")
        == "('aa:w0207183':* | 'aa:d0207183':* | 'aa:d207183':*)"
    )
    assert prefix_query(search_key="aa", text="0044") == "('aa:w0044':* | 'aa:d0044':*)"
    assert prefix_query(search_key="aa", text="044") == "('aa:w044':*)"
    assert prefix_query(search_key="aa", text=" !? ") is None


@given(st.text(max_size=60))
def test_any_text_makes_a_bounded_query(text: str) -> None:
    query = prefix_query(search_key="aa", text=text)
    assert query is None or (query.count(":*") <= 16 and len(query) < 16 * 120)
