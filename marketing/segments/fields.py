"""What may be asked of a customer directly: an allow-list from names to SQL of ours. Nothing else of a rule becomes SQL text.

`c` is the customer's row, `f` that of `analytics_customers`, which is missing before the first purchase.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from customers.models import Customer
from marketing.segments.language import (
    BIRTHDAY_OPS,
    CHOICE_OPS,
    DAY_OPS,
    NUMBER_OPS,
    SET_OPS,
    TAG_OPS,
    TEXT_OPS,
)


class Kind(StrEnum):
    TEXT = "text"
    CHOICE = "choice"
    STORE = "store"
    TAGS = "tags"
    WHOLE = "whole"
    MONEY = "money"
    CENTS = "cents"
    """Money in the rule, cents in the table."""
    SHARE = "share"
    INSTANT = "instant"
    """A moment, of which rules speak by its day in the merchant's time."""
    DAY = "day"
    BIRTHDAY = "birthday"


class Fact(StrEnum):
    """What can change about a customer: an event touches the rules that ask for it. Client events are facts of their own."""

    PROFILE = "profile"
    CONSENT = "consent"
    ADDRESS = "address"
    PURCHASES = "purchases"
    POINTS = "points"
    TIER = "tier"
    FIGURES = "figures"
    SEGMENTS = "segments"


OPS: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: (*TEXT_OPS, *SET_OPS),
    Kind.CHOICE: (*CHOICE_OPS, *SET_OPS),
    Kind.STORE: (*CHOICE_OPS, *SET_OPS),
    Kind.TAGS: (*TAG_OPS, *SET_OPS),
    Kind.WHOLE: (*NUMBER_OPS, *SET_OPS),
    Kind.MONEY: (*NUMBER_OPS, *SET_OPS),
    Kind.CENTS: (*NUMBER_OPS, *SET_OPS),
    Kind.SHARE: (*NUMBER_OPS, *SET_OPS),
    Kind.INSTANT: (*DAY_OPS, *SET_OPS),
    Kind.DAY: (*DAY_OPS, *SET_OPS),
    Kind.BIRTHDAY: BIRTHDAY_OPS,
}


@dataclass(frozen=True, slots=True)
class Field:
    """`sql` is NULL or empty where the customer has no such thing."""

    name: str
    label: str
    kind: Kind
    sql: str
    fact: Fact
    group: str
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def needs_figures(self) -> bool:
        return self.fact is Fact.FIGURES and "f." in self.sql


def _choices(listed: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(value), str(label)) for value, label in listed if value)


# The levels of a program; without choices any code may be asked for.
_PROFILE, _STANDING, _ANALYTICS, _LOYALTY = "Profile", "Purchases so far", "Analytics", "Loyalty"
_ALL = (
    Field("firstName", "First name", Kind.TEXT, "c.first_name", Fact.PROFILE, _PROFILE),
    Field("lastName", "Last name", Kind.TEXT, "c.last_name", Fact.PROFILE, _PROFILE),
    Field("companyName", "Company", Kind.TEXT, "c.company_name", Fact.PROFILE, _PROFILE),
    Field("email", "E-mail", Kind.TEXT, "c.email", Fact.PROFILE, _PROFILE),
    Field("phone", "Phone", Kind.TEXT, "c.phone", Fact.PROFILE, _PROFILE),
    Field("language", "Language", Kind.TEXT, "c.language", Fact.PROFILE, _PROFILE),
    Field("customerNumber", "Customer number", Kind.TEXT, "c.customer_number", Fact.PROFILE, _PROFILE),
    Field("tags", "Tags", Kind.TAGS, "c.tags", Fact.PROFILE, _PROFILE),
    Field("type", "Type", Kind.CHOICE, "c.type", Fact.PROFILE, _PROFILE, _choices(Customer.Type.choices)),
    Field("status", "Status", Kind.CHOICE, "c.status", Fact.PROFILE, _PROFILE, _choices(Customer.Status.choices)),
    Field("gender", "Gender", Kind.CHOICE, "c.gender", Fact.PROFILE, _PROFILE, _choices(Customer.Gender.choices)),
    Field("homeStoreId", "Home store", Kind.STORE, "c.home_store_id", Fact.PROFILE, _PROFILE),
    Field("dateOfBirth", "Date of birth", Kind.DAY, "c.date_of_birth", Fact.PROFILE, _PROFILE),
    Field("birthday", "Birthday", Kind.BIRTHDAY, "c.date_of_birth", Fact.PROFILE, _PROFILE),
    Field("createdAt", "Customer since", Kind.INSTANT, "c.created_at", Fact.PROFILE, _PROFILE),
    Field("totalSpent", "Total spent", Kind.MONEY, "c.total_spent", Fact.PURCHASES, _STANDING),
    Field("visitCount", "Visits", Kind.WHOLE, "c.visit_count", Fact.PURCHASES, _STANDING),
    Field("averageOrderValue", "Average purchase", Kind.MONEY,
          "round(c.total_spent / nullif(c.visit_count, 0), 2)", Fact.PURCHASES, _STANDING),
    Field("firstVisitAt", "First visit", Kind.INSTANT, "c.first_visit_at", Fact.PURCHASES, _STANDING),
    Field("lastVisitAt", "Last visit", Kind.INSTANT, "c.last_visit_at", Fact.PURCHASES, _STANDING),
    Field("segment", "Lifecycle segment", Kind.CHOICE, "c.segment", Fact.FIGURES, _ANALYTICS,
          _choices(Customer.Segment.choices)),
    Field("churnProbability", "Probability of not coming back", Kind.SHARE, "f.churn", Fact.FIGURES, _ANALYTICS),
    Field("recencyScore", "Recency score", Kind.WHOLE, "f.recency_score", Fact.FIGURES, _ANALYTICS),
    Field("frequencyScore", "Frequency score", Kind.WHOLE, "f.frequency_score", Fact.FIGURES, _ANALYTICS),
    Field("monetaryScore", "Monetary score", Kind.WHOLE, "f.monetary_score", Fact.FIGURES, _ANALYTICS),
    Field("spentLast12Months", "Spent in 12 months", Kind.CENTS, "f.spend_365d_cents", Fact.FIGURES, _ANALYTICS),
    Field("purchaseDays", "Days with a purchase", Kind.WHOLE, "f.purchase_days", Fact.FIGURES, _ANALYTICS),
    Field("predictedValue90Days", "Predicted value, 90 days", Kind.CENTS, "f.expected_90d_cents", Fact.FIGURES, _ANALYTICS),
    Field("predictedValue180Days", "Predicted value, 180 days", Kind.CENTS, "f.expected_180d_cents", Fact.FIGURES, _ANALYTICS),
    Field("predictedValue365Days", "Predicted value, 1 year", Kind.CENTS, "f.expected_365d_cents", Fact.FIGURES, _ANALYTICS),
    Field("nextPurchaseDay", "Next purchase expected", Kind.DAY, "f.next_day", Fact.FIGURES, _ANALYTICS),
    Field("tier", "Tier", Kind.CHOICE, "c.tier", Fact.TIER, _LOYALTY),
    Field("points", "Points", Kind.WHOLE, "c.points", Fact.POINTS, _LOYALTY),
)  # fmt: skip
FIELDS = {field.name: field for field in _ALL}
