"""The customers: exactly those whom GET /customers finds by the same filters, with everything that is known of each."""

from collections.abc import Sequence

from django.db import connection

from cloudpos.api.parameters import Identifier
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.sources import Chosen, Source, by_name, written
from cloudpos.tenancy.access import Access
from customers.filters import CustomerFilters
from customers.imports.fields import ADDRESS, CONSENT, METADATA
from customers.list_plans import SORTS
from customers.listing import conditions_of
from customers.models import Channel, Purpose

METADATA_COLUMNS_MAX = 100
# Stands for a column of each of the customers' own fields.
OWN_FIELDS = "metadata"

_CENTS = "::numeric / 100"
_LEVELS = "CASE {} WHEN 0 THEN 'low' WHEN 1 THEN 'medium' WHEN 2 THEN 'high' END"


class CustomerExportFilters(CustomerFilters):
    """Those of the list, without its pages."""

    paged = False
    cursors = False

    segment_id = Identifier(method="", description="Only members of this segment of the merchant's own.")


def _profile(name: str, title: str, sql: str, *, width: int = 16, default: bool = True) -> Column:
    return Column(name, title, sql, group="Customer", target=name, width=width, default=default)


def _standing(name: str, title: str, sql: str, holds: Holds = Holds.TEXT) -> Column:
    return Column(name, title, sql, holds, group="Standing")


def _figure(name: str, title: str, sql: str, holds: Holds, *, default: bool = False) -> Column:
    return Column(name, title, sql, holds, group="Analytics", joins=("figures",), default=default)


def _consents() -> list[Column]:
    """Per channel and purpose what was said last, and when. Empty: nothing was ever said, and nothing may be sent."""
    found = []
    for purpose in Purpose:
        for channel in Channel:
            key = f"{channel.value}.{purpose.value}"
            is_marketing = purpose == Purpose.MARKETING
            name = f"{CONSENT}{channel.value}" if is_marketing else f"{CONSENT}{key}"
            title = f"{channel.label} {purpose.label.lower()}"
            said = f"consent.said -> '{key}'"
            more = {"group": "Consent", "joins": ("consents",), "default": is_marketing}
            found.append(
                Column(
                    name,
                    title,
                    f"({said} ->> 0) = 'granted'",
                    Holds.FLAG,
                    target=name if is_marketing else None,
                    **more,  # type: ignore[arg-type]
                )
            )
            found.append(
                Column(
                    f"{name}.at",
                    f"{title} since",
                    f"({said} ->> 1)::timestamptz",
                    Holds.INSTANT,
                    width=20,
                    **more,  # type: ignore[arg-type]
                )
            )
    return found


COLUMNS = by_name(
    _profile("customerNumber", "Customer number", "c.customer_number"),
    Column("id", "CloudPOS ID", "c.id::text", group="Customer", default=False, width=38),
    Column(
        "externalId",
        "External ID",
        "external.external_id",
        group="Customer",
        joins=("external",),
        target="externalId",
    ),
    _profile("firstName", "First name", "c.first_name"),
    _profile("lastName", "Last name", "c.last_name"),
    _profile("companyName", "Company", "c.company_name", width=24),
    _profile("taxId", "Tax number", "c.tax_id"),
    _profile("email", "E-mail", "c.email", width=28),
    _profile("phone", "Phone", "c.phone"),
    _profile("type", "Type", "c.type", width=10),
    _profile("status", "Status", "c.status", width=10),
    Column(
        "dateOfBirth",
        "Date of birth",
        "c.date_of_birth",
        Holds.DAY,
        group="Customer",
        target="dateOfBirth",
        width=12,
    ),
    _profile("gender", "Gender", "c.gender", width=10),
    _profile("language", "Language", "c.language", width=10),
    _profile("tags", "Tags", "array_to_string(c.tags, ', ')", width=24),
    _profile("notes", "Notes", "c.notes", width=40),
    Column(
        "homeStore",
        "Home store",
        "home.code",
        group="Customer",
        joins=("home",),
        target="homeStore",
        width=12,
    ),
    *(
        Column(
            f"{ADDRESS}{name}",
            title,
            f"place.{column}",
            group="Address",
            joins=("address",),
            target=f"{ADDRESS}{name}",
            width=width,
        )
        for name, column, title, width in (
            ("street1", "street1", "Street", 28),
            ("street2", "street2", "Street 2", 16),
            ("postalCode", "postal_code", "Postal code", 12),
            ("city", "city", "City", 18),
            ("state", "state", "State", 16),
            ("country", "country", "Country", 8),
        )
    ),
    Column(
        "otherAddresses",
        "Other addresses",
        "(SELECT string_agg(concat_ws(', ', NULLIF(label, ''), street1, NULLIF(street2, ''), NULLIF(postal_code, ''), city, "
        "NULLIF(state, ''), country), E'\\n' ORDER BY created_at, id) FROM customer_addresses "
        "WHERE merchant_id = c.merchant_id AND customer_id = c.id AND NOT is_default)",
        group="Address",
        default=False,
        width=40,
    ),
    *_consents(),
    _standing("tier", "Tier", "c.tier"),
    _standing("points", "Points", "c.points", Holds.INTEGER),
    Column(
        "memberSince",
        "Member since",
        "account.enrolled_at",
        Holds.INSTANT,
        group="Standing",
        joins=("account",),
        width=20,
    ),
    _standing("segment", "Lifecycle segment", "c.segment"),
    _standing("totalSpent", "Total spent", "c.total_spent", Holds.MONEY),
    _standing("visitCount", "Purchases", "c.visit_count", Holds.INTEGER),
    _standing(
        "averageOrderValue",
        "Average purchase",
        "CASE WHEN c.visit_count > 0 THEN round(c.total_spent / c.visit_count, 2) ELSE 0 END",
        Holds.MONEY,
    ),
    _standing("firstVisitAt", "First visit", "c.first_visit_at", Holds.INSTANT),
    _standing("lastVisitAt", "Last visit", "c.last_visit_at", Holds.INSTANT),
    _figure(
        "spend365d", "Spent in 12 months", f"figures.spend_365d_cents{_CENTS}", Holds.MONEY, default=True
    ),
    _figure(
        "expected365d",
        "Expected in 12 months",
        f"figures.expected_365d_cents{_CENTS}",
        Holds.MONEY,
        default=True,
    ),
    _figure("expected365dLow", "Expected at least", f"figures.expected_365d_low_cents{_CENTS}", Holds.MONEY),
    _figure("expected365dHigh", "Expected at most", f"figures.expected_365d_high_cents{_CENTS}", Holds.MONEY),
    _figure("churn", "Churn probability", "round(figures.churn::numeric, 4)", Holds.NUMBER, default=True),
    _figure("churnRisk", "Churn risk", _LEVELS.format("figures.churn_band"), Holds.TEXT, default=True),
    _figure("recencyScore", "Recency score", "figures.recency_score", Holds.INTEGER),
    _figure("frequencyScore", "Frequency score", "figures.frequency_score", Holds.INTEGER),
    _figure("monetaryScore", "Monetary score", "figures.monetary_score", Holds.INTEGER),
    _figure("nextPurchase", "Next purchase expected", "figures.next_day", Holds.DAY),
    _figure("figuresAsOf", "Figures as of", "figures.as_of", Holds.DAY),
    Column(
        "enteredSegmentAt",
        "Member of the segment since",
        "member.entered_at",
        Holds.INSTANT,
        group="Standing",
        joins=("member",),
        default=False,
        width=20,
    ),
    Column("createdAt", "Created", "c.created_at", Holds.INSTANT, group="Customer", width=20),
    Column("updatedAt", "Changed", "c.updated_at", Holds.INSTANT, group="Customer", default=False, width=20),
    Column(OWN_FIELDS, "Own fields", "", group="Own fields"),
)

_JOINS = {
    "external": (
        "LEFT JOIN LATERAL (SELECT external_id FROM customer_external_ids WHERE merchant_id = c.merchant_id "
        "AND customer_id = c.id ORDER BY created_at, id LIMIT 1) external ON true"
    ),
    "home": "LEFT JOIN stores home ON home.merchant_id = c.merchant_id AND home.id = c.home_store_id",
    "address": (
        "LEFT JOIN customer_addresses place ON place.merchant_id = c.merchant_id AND place.customer_id = c.id "
        "AND place.is_default"
    ),
    # The fold of the log, as customers.services.consents has it.
    "consents": (
        "LEFT JOIN LATERAL (SELECT jsonb_object_agg(channel || '.' || purpose, jsonb_build_array(state, occurred_at)) AS said "
        "FROM (SELECT DISTINCT ON (channel, purpose) channel, purpose, state, occurred_at FROM customer_consents "
        "WHERE merchant_id = c.merchant_id AND customer_id = c.id "
        "ORDER BY channel, purpose, occurred_at DESC, state DESC) last) consent ON true"
    ),
    "account": (
        "LEFT JOIN loyalty_enrollments account ON account.merchant_id = c.merchant_id AND account.customer_id = c.id "
        "AND account.program_id = (SELECT id FROM loyalty_programs WHERE merchant_id = %s AND is_active)"
    ),
    "figures": (
        "LEFT JOIN analytics_customers figures ON figures.merchant_id = c.merchant_id AND figures.customer_id = c.id"
    ),
    "member": (
        "LEFT JOIN customer_segment_members member ON member.merchant_id = c.merchant_id AND member.customer_id = c.id "
        "AND member.segment_id = %s"
    ),
}


def _choose(access: Access, filters: CustomerExportFilters) -> Chosen:
    merchant_id = access.merchant_id
    where, params = conditions_of(filters.conditions(merchant_id))
    tsquery = filters.tsquery(access.search_key)
    if tsquery == "":
        where += " AND false"
    elif tsquery is not None:
        where += ' AND "customers"."search" @@ %s::tsquery'
        params.append(tsquery)
    segment_id = filters.values.get("segment_id")
    if segment_id is not None:
        where += (
            ' AND EXISTS (SELECT FROM customer_segment_members WHERE merchant_id = "customers"."merchant_id" '
            'AND customer_id = "customers"."id" AND segment_id = %s)'
        )
        params.append(segment_id)
    direction = "DESC" if filters.descending else "ASC"
    sort = SORTS[filters.sort_by].sql
    select = written(
        f'SELECT "customers"."id" FROM "customers" WHERE "customers"."merchant_id" = %s '  # noqa: S608
        f'AND "customers"."deleted_at" IS NULL{where} ORDER BY {sort} {direction}, "customers"."id" {direction}',
        [merchant_id, *params],
    )
    return Chosen(select, {"member": [segment_id]})


def _expand(chosen: Chosen, access: Access, names: Sequence[str]) -> list[Column]:
    """Own fields have a column each: the most frequent METADATA_COLUMNS_MAX, in alphabetical order."""
    found: list[Column] = []
    for name in names:
        found += _own_fields(chosen, access) if name == OWN_FIELDS else [COLUMNS[name]]
    return found


def _own_fields(chosen: Chosen, access: Access) -> list[Column]:
    with connection.cursor() as cursor:
        cursor.execute(
            # Without parameters: values that are written into a text may hold a percent sign.
            f"SELECT key FROM ({chosen.select}) AS chosen "  # noqa: S608
            f"JOIN customers c ON c.merchant_id = '{access.merchant_id}' AND c.id = chosen.id "
            "CROSS JOIN jsonb_object_keys(CASE WHEN jsonb_typeof(c.metadata) = 'object' THEN c.metadata ELSE '{}' END) key "
            f"GROUP BY key ORDER BY count(*) DESC, key LIMIT {METADATA_COLUMNS_MAX}"
        )
        keys = sorted(key for (key,) in cursor.fetchall())
    return [Column(f"{METADATA}{key}", f"{METADATA}{key}", "c.metadata ->> %s", params=[key]) for key in keys]


CUSTOMERS = Source(
    title="Customers",
    unit="customers",
    columns=COLUMNS,
    filters=CustomerExportFilters,
    choose=_choose,
    rows="JOIN customers c ON c.merchant_id = %s AND c.id = chosen.id AND c.deleted_at IS NULL",
    customer="c.id",
    joins=_JOINS,
    expand=_expand,
)
