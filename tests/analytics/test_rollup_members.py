"""Sets of members and how they are packed."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from analytics.periods import Period
from analytics.rollups.members import Buyers, Members, as_set, numbers_in, pack_set, unpack_set
from analytics.rollups.recent import Recent
from analytics.rollups.spans import cover, first_of, span, steps

NUMBERS = st.sets(st.integers(0, 100_000), max_size=200)
ROWS = st.dictionaries(
    st.integers(0, 2**31 - 1),
    st.tuples(st.integers(0, 70_000), st.integers(-(2**40), 2**40)),
    max_size=50,
)


def members(rows: dict[int, tuple[int, int]]) -> Members:
    return Members.of((number, *figures) for number, figures in rows.items())


def as_rows(found: Members) -> list[tuple[int, int, int]]:
    return list(zip(found.numbers, found.counts, found.cents, strict=True))


@given(ROWS)
def test_packed_and_unpacked(rows: dict[int, tuple[int, int]]) -> None:
    assert as_rows(Members.unpack(members(rows).pack())) == sorted(
        (n, *figures) for n, figures in rows.items()
    )


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_sums_member_by_member(parts: list[dict[int, tuple[int, int]]]) -> None:
    expected = {}
    for part in parts:
        for number, (count, cents) in part.items():
            before = expected.get(number, (0, 0))
            expected[number] = (before[0] + count, before[1] + cents)
    found = Members.together([members(part) for part in parts])
    assert as_rows(found) == sorted((n, *figures) for n, figures in expected.items())


@given(NUMBERS)
def test_a_set_is_its_numbers(numbers: set[int]) -> None:
    found = as_set(list(numbers))
    assert found.bit_count() == len(numbers)
    assert list(numbers_in(found)) == sorted(numbers)
    assert unpack_set(pack_set(found)) == found


@given(st.lists(st.lists(st.integers(0, 20), max_size=10), max_size=6))
def test_who_bought_once_and_again(days: list[list[int]]) -> None:
    """Each list is a stretch of time, each number in it a purchase."""
    found = Buyers()
    for day in days:
        part = members({number: (day.count(number), 0) for number in day})
        found.add(*part.sets())
    every = [number for day in days for number in day]
    assert set(numbers_in(found.once)) == set(every)
    assert set(numbers_in(found.again)) == {number for number in every if every.count(number) > 1}


def test_who_only_returned_something_has_not_bought() -> None:
    assert members({3: (0, -500), 4: (2, 100)}).sets() == (1 << 4, 1 << 4)


def test_months_then_weeks_then_days() -> None:
    stored = {("month", date(2025, 2, 1)), ("week", date(2025, 3, 3)), ("week", date(2025, 1, 27))}
    found = list(cover(Period(date(2025, 1, 31), date(2025, 3, 10)), lambda *piece: piece in stored))
    assert found == [
        ("day", date(2025, 1, 31)),
        ("month", date(2025, 2, 1)),
        ("day", date(2025, 3, 1)),
        ("day", date(2025, 3, 2)),
        ("week", date(2025, 3, 3)),
        ("day", date(2025, 3, 10)),
    ]


@given(st.dates(date(1901, 1, 1), date(2190, 1, 1)), st.sampled_from(["day", "week", "month", "quarter"]))
def test_a_day_is_within_its_unit(day: date, unit: str) -> None:
    whole = span(first_of(day, unit), unit)
    assert day in whole
    assert first_of(whole.last, unit) == whole.first
    assert first_of(date.fromordinal(whole.last.toordinal() + 1), unit) != whole.first


def test_steps_are_cut_at_both_ends() -> None:
    assert list(steps(Period(date(2024, 12, 30), date(2025, 4, 2)), "quarter")) == [
        Period(date(2024, 12, 30), date(2024, 12, 31)),
        Period(date(2025, 1, 1), date(2025, 3, 31)),
        Period(date(2025, 4, 1), date(2025, 4, 2)),
    ]


def test_only_so_much_is_remembered() -> None:
    kept = Recent(1_000)
    for key in range(10):
        kept.put(key, (1 << 800, 0))
    assert [key for key in range(10) if kept.get(key)] == [8, 9]
    kept.put("too large", (1 << 80_000, 0))
    assert kept.get("too large") is None
