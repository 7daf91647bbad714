"""Weekdays and hours of promotions that come about in their window, or never."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpos.tenancy.models import Store
from loyalty.models import Program
from loyalty.rules.hours import hindrance, occur_between
from tests.fixtures import Shop

HALF_AN_HOUR = timedelta(minutes=30)
# Clocks are set: forward on 26 September 2027 in Auckland, by half an hour in October on Lord Howe, back over midnight in
# Havana in November; in Los Angeles on 14 March and 7 November.
zones = st.sampled_from(
    [
        "UTC",
        "Europe/London",
        "Pacific/Auckland",
        "America/Los_Angeles",
        "America/Havana",
        "Australia/Lord_Howe",
    ]
)
days = st.sampled_from(
    [datetime(2027, 3, 13), datetime(2027, 9, 25), datetime(2027, 10, 2), datetime(2027, 11, 6)]
)
clocks = st.integers(0, 47).map(lambda half: time(half // 2, 30 * (half % 2)))


@settings(max_examples=300)
@given(
    zone=zones.map(ZoneInfo),
    begin=st.builds(
        lambda day, half: day.replace(tzinfo=UTC) + half * HALF_AN_HOUR, days, st.integers(0, 96)
    ),
    halves=st.integers(0, 8 * 48),
    weekdays=st.frozensets(st.integers(1, 7), max_size=3),
    hours=st.none() | st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1]),
)
def test_they_come_about_when_some_half_hour_is_theirs(
    zone: ZoneInfo, begin: datetime, halves: int, weekdays: frozenset[int], hours: tuple[time, time] | None
) -> None:
    opens, closes = hours or (None, None)
    found = occur_between(weekdays, opens, closes, begin=begin, end=begin + halves * HALF_AN_HOUR, zone=zone)
    assert found == any(
        not hindrance(weekdays, opens, closes, (begin + half * HALF_AN_HOUR).astimezone(zone))
        for half in range(halves)
    )


def test_parts_of_a_minute_count() -> None:
    ten = datetime(2026, 7, 14, 10, tzinfo=UTC)
    half = timedelta(seconds=30)
    asked: dict[str, Any] = {
        "weekdays": [2],
        "opens": time(10),
        "closes": time(10, 1),
        "zone": ZoneInfo("UTC"),
    }
    assert occur_between(begin=ten + half, end=ten + 2 * half, **asked)
    assert occur_between(begin=ten - half, end=ten + half, **asked)
    assert not occur_between(begin=ten + 2 * half, end=ten + 4 * half, **asked)


@pytest.mark.django_db
class TestTheApi:
    # From Tuesday, 10:00, to 12:00 in London's winter.
    WINDOW = {"startsAt": "2026-12-01T10:00:00Z", "endsAt": "2026-12-01T12:00:00Z"}

    @pytest.mark.parametrize(
        ("when", "field"),
        [
            ({"weekdays": [2]}, None),
            ({"weekdays": [1, 3, 4, 5, 6, 7]}, "weekdays"),
            ({"opens": "11:59", "closes": "13:00"}, None),
            ({"opens": "12:00", "closes": "13:00"}, "opens"),
            ({"weekdays": [2], "opens": "22:00", "closes": "10:01"}, "weekdays"),
            ({"weekdays": [1], "opens": "22:00", "closes": "10:01"}, None),
        ],
    )
    def test_a_promotion_has_some_time(
        self, shop: Shop, program: Program, when: dict[str, Any], field: str | None
    ) -> None:
        promotion = {"name": "Summer", "kind": "bonus", "points": 5, **self.WINDOW, **when}
        response = shop.manager.post("/loyalty/promotions", promotion)
        if field is None:
            assert response.status_code == 201
            return
        assert response.status_code == 400
        assert response.json()["errors"] == [
            {
                "field": field,
                "message": "Between its start and its end there is no such time at any of its stores.",
                "code": "invalid",
            }
        ]

    def test_at_one_of_its_stores_is_enough(self, shop: Shop, program: Program) -> None:
        far = Store.objects.create(
            merchant=shop.merchant, name="Far", code="FAR", timezone="Pacific/Auckland"
        )
        promotion = {
            "name": "Night", "kind": "bonus", "points": 5, **self.WINDOW, "opens": "23:00", "closes": "23:30",
        }  # fmt: skip
        assert shop.manager.post("/loyalty/promotions", promotion).status_code == 201
        only_here = {**promotion, "storeIds": [str(shop.store.pk)]}
        assert shop.manager.post("/loyalty/promotions", only_here).status_code == 400
        only_there = {**promotion, "storeIds": [str(far.pk)]}
        assert shop.manager.post("/loyalty/promotions", only_there).status_code == 201
