"""Every route of the URLconf, and what the cross-cutting tests need to know about each.

`CASES` is written by hand on purpose: a route that is not in it fails, so whoever adds one has to say who may call
it and which ids it takes.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role

PUBLIC = "public"
# A token is enough: no store.
SIGNED_IN = "signed_in"
ADMIN = "admin/"
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """One method of one URL pattern; `view` is the view class, None for a plain function."""

    method: str
    template: str
    view: Any

    @property
    def key(self) -> str:
        return f"{self.method.upper()} {self.template}"


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if route.startswith(ADMIN) or route == ADMIN.rstrip("/"):
            # Its pages have tests of their own: tests/admin.
            continue
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from _patterns(pattern, route)


def all_routes() -> list[Route]:
    """Every (method, pattern) of the service but the admin's."""
    found = []
    for template, callback in _patterns(get_resolver()):
        view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
        if view is not None and not issubclass(view, ApiView):
            # A page.
            found += [Route(method, f"/{template}", None) for method in METHODS if hasattr(view, method)]
            continue
        if view is None:
            found.append(Route("get", f"/{template}", None))
            continue
        actions = getattr(callback, "actions", None)
        for method in METHODS:
            if (method in actions) if actions else hasattr(view, method):
                found.append(Route(method, f"/{template}", view))
    return found


@dataclass(frozen=True)
class World:
    """One merchant's objects, one of each kind, as ids that a request may name."""

    store: uuid.UUID
    customer: uuid.UUID
    other_customer: uuid.UUID
    address: uuid.UUID
    merge: uuid.UUID
    webhook: uuid.UUID
    purchase: uuid.UUID
    hold: uuid.UUID
    reward: uuid.UUID
    redemption: uuid.UUID
    voucher: uuid.UUID
    promotion: uuid.UUID
    job: uuid.UUID
    delivery: uuid.UUID
    event_type: uuid.UUID
    segment: uuid.UUID
    suppression: uuid.UUID
    campaign: uuid.UUID
    # One that is over, and one that waits.
    imported: uuid.UUID
    upload: uuid.UUID
    exported: uuid.UUID
    transaction: str
    customer_number: str
    phone: str
    email: str
    event_id: str
    voucher_code: str
    cursor_query: str = ""

    def path(self, template: str) -> str:
        """`template` with this world's ids in it."""
        for variable, value in {
            "<uuid:customer_id>": self.customer,
            "<uuid:address_id>": self.address,
            "<uuid:merge_id>": self.merge,
            "<uuid:webhook_id>": self.webhook,
            "<uuid:hold_id>": self.hold,
            "<uuid:reward_id>": self.reward,
            "<uuid:redemption_id>": self.redemption,
            "<uuid:voucher_id>": self.voucher,
            "<uuid:promotion_id>": self.promotion,
            "<uuid:job_id>": self.job,
            "<uuid:delivery_id>": self.delivery,
            "<uuid:event_type_id>": self.event_type,
            "<uuid:segment_id>": self.segment,
            "<uuid:suppression_id>": self.suppression,
            "<uuid:campaign_id>": self.campaign,
            "<uuid:import_id>": self.imported,
            "<uuid:upload_id>": self.upload,
            "<uuid:export_id>": self.exported,
            "<int:number>": 0,
            "<path:transaction_id>": self.transaction,
            # A month, not anybody's.
            "<str:cohort>": "2026-01-01",
            # Nobody's.
            "<str:token>": "not-signed",
            "<uuid:merchant_id>": uuid.UUID(int=1),
            "<uuid:message_id>": uuid.UUID(int=1),
        }.items():
            template = template.replace(variable, str(value))
        assert "<" not in template, f"say what stands for the variable in {template}"
        return template


def absent_world() -> World:
    """Ids of the right form that nobody has."""
    return World(
        *[uuid.uuid4() for each in fields(World) if each.type is uuid.UUID],
        transaction="NOBODY-SOLD-THIS",
        customer_number="1000000008",
        phone="+441614960123",
        email="nobody@nowhere.example",
        event_id="never-sent",
        voucher_code="00000-00000",
    )


def _an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


Body = Callable[[World], dict[str, Any]]
NO_BODY: Body = lambda world: {}  # noqa: E731


@dataclass(frozen=True)
class Case:
    """Who may call a route, a body that is valid in a world, and the same in which ids of a world are named.

    `body` is valid for the merchant itself. `naming` are bodies that name objects of the given world: sent with a
    foreign world they must be answered like absent ones. `queries` are query strings of that kind.
    `after` are routes that bring an object into the state that this one asks for.
    """

    least: str
    body: Body = NO_BODY
    naming: tuple[Body, ...] = ()
    queries: tuple[Callable[[World], str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()


def _sale(**more: Any) -> Body:
    return lambda world: {
        "customerId": str(world.customer),
        "transactionId": "SALE-1",
        "amount": "10.00",
        "items": [{"sku": "A", "name": "Lamp", "quantity": 1, "unitPrice": "10.00"}],
        **more,
    }


def _sale_by(**identity: Callable[[World], str]) -> Body:
    def body(world: World) -> dict[str, Any]:
        named = {name: value(world) for name, value in identity.items()}
        return {"transactionId": "SALE-2", "amount": "10.00", **named}

    return body


_SALES_NAMING = (
    _sale(),
    _sale_by(customerNumber=lambda world: world.customer_number),
    _sale_by(phone=lambda world: world.phone),
    _sale_by(email=lambda world: world.email),
)
_ADDRESS: Body = lambda world: {"street1": "5 New Road", "city": "York", "country": "GB"}  # noqa: E731
_CUSTOMER: Body = lambda world: {"firstName": "Carol", "lastName": "New"}  # noqa: E731
_CUSTOMER_NAMING: tuple[Body, ...] = (
    lambda world: {"firstName": "Carol", "homeStoreId": str(world.store)},
    lambda world: {
        "firstName": "Carol",
        "addresses": [{"id": str(world.address), "street1": "1", "city": "York", "country": "GB"}],
    },
)
_POINTS: Body = lambda world: {  # noqa: E731
    "customerId": str(world.customer),
    "type": "earned",
    "points": 5,
    "transactionId": "POINTS-1",
}
_PROGRAM: Body = lambda world: {  # noqa: E731
    "name": "Club",
    "pointsPerUnit": "1",
    "tiers": [{"code": "bronze", "name": "Bronze", "threshold": "0"}],
}
_HOLD: Body = lambda world: {"transactionId": "HOLD-1", "points": 1}  # noqa: E731
_REWARD: Body = lambda world: {  # noqa: E731
    "name": "Free coffee",
    "kind": "free_item",
    "sku": "COFFEE",
    "points": 50,
}
_PROMOTION: Body = lambda world: {  # noqa: E731
    "name": "Double Tuesdays",
    "kind": "multiplier",
    "multiplier": "2",
    "weekdays": [2],
}
_PROMOTION_AT: Body = lambda world: {**_PROMOTION(world), "storeIds": [str(world.store)]}  # noqa: E731
_EVENT: Body = lambda world: {"type": "page.viewed", "data": {"page": "home"}}  # noqa: E731
_WEBHOOK: Body = lambda world: {"url": "http://127.0.0.1:9/hook", "eventTypes": ["purchase.recorded"]}  # noqa: E731

_THRESHOLDS: Body = lambda world: {  # noqa: E731
    "horizonDays": 90,
    "newDays": 45,
    "activeDays": 180,
    "vipShare": 0.05,
    "churnedProbability": 0.9,
    "churnedGaps": 4,
    "churnedDays": 180,
    "atRiskProbability": 0.6,
    "atRiskPurchaseDays": 2,
}

_RULE: Body = lambda world: {"field": {"name": "firstName", "op": "is", "value": "Carol"}}  # noqa: E731
_SEGMENT: Body = lambda world: {"name": "Carols", "kind": "rule", "rule": _RULE(world)}  # noqa: E731
_RULES_NAMING: tuple[Body, ...] = (
    lambda world: {"segments": {"op": "any_of", "ids": [str(world.segment)]}},
    lambda world: {
        "purchases": {"measure": "count", "op": "eq", "value": 0, "storeIds": [str(world.store)]},
    },
    lambda world: {"all": [{"field": {"name": "homeStoreId", "op": "in", "value": [str(world.store)]}}]},
)
_SEGMENTS_NAMING: tuple[Body, ...] = tuple(
    (lambda world, rule=rule: {**_SEGMENT(world), "rule": rule(world)})  # type: ignore[misc]
    for rule in _RULES_NAMING
)
_PREVIEWS_NAMING: tuple[Body, ...] = (
    lambda world: {"rule": _RULE(world), "segmentId": str(world.segment)},
    *((lambda world, rule=rule: {"rule": rule(world)}) for rule in _RULES_NAMING),  # type: ignore[misc]
)
_MEMBERS: Body = lambda world: {"customerIds": [str(world.customer)]}  # noqa: E731

_CAMPAIGN: Body = lambda world: {  # noqa: E731
    "name": "Spring",
    "variants": [{"content": {"subject": "News", "html": "<p>Look</p>"}}],
}
_CAMPAIGNS_NAMING: tuple[Body, ...] = (
    lambda world: {**_CAMPAIGN(world), "includeSegments": [str(world.segment)]},
    lambda world: {**_CAMPAIGN(world), "excludeSegments": [str(world.segment)]},
    lambda world: {**_CAMPAIGN(world), "kind": "triggered", "trigger": {"segment": str(world.segment)}},
)
_PREVIEWED: Body = lambda world: {"customerId": str(world.customer)}  # noqa: E731

V1 = "/api/v1"
CUSTOMER = f"{V1}/customers/<uuid:customer_id>"
WEBHOOK = f"{V1}/webhooks/<uuid:webhook_id>"
SEGMENT = f"{V1}/segments/<uuid:segment_id>"
CAMPAIGN = f"{V1}/campaigns/<uuid:campaign_id>"
IMPORT = f"{V1}/imports/<uuid:import_id>"
UPLOAD = f"{V1}/imports/<uuid:upload_id>"
EXPORT = f"{V1}/exports/<uuid:export_id>"

CASES: dict[str, Case] = {
    # Operations and documentation
    "GET /health": Case(PUBLIC),
    "GET /health/ready": Case(PUBLIC),
    "GET /metrics": Case(PUBLIC),
    "GET /api/schema": Case(PUBLIC),
    "GET /api/docs": Case(PUBLIC),
    "GET /api/docs.js": Case(PUBLIC),
    # Pages for people
    "GET /": Case(PUBLIC),
    "GET /favicon.ico": Case(PUBLIC),
    "GET /api/docs/": Case(PUBLIC),
    "GET /api/docs/webhooks": Case(PUBLIC),
    # Sessions
    f"POST {V1}/auth/token": Case(PUBLIC, lambda world: {"email": "a@b.example", "password": "wrong"}),
    f"POST {V1}/auth/refresh": Case(PUBLIC, lambda world: {"refresh": "x"}),
    f"POST {V1}/auth/logout": Case(PUBLIC, lambda world: {"refresh": "x"}),
    f"GET {V1}/me": Case(SIGNED_IN),
    # Customers
    f"GET {V1}/customers": Case(Role.CASHIER, queries=(lambda world: f"storeId={world.store}",)),
    f"POST {V1}/customers": Case(Role.CASHIER, _CUSTOMER, naming=_CUSTOMER_NAMING),
    f"GET {V1}/customers/stats": Case(Role.CASHIER),
    f"GET {V1}/customers/lookup": Case(
        Role.CASHIER,
        queries=(
            lambda world: f"number={world.customer_number}",
            lambda world: f"phone=%2B{world.phone[1:]}",
            lambda world: f"email={world.email}",
        ),
    ),
    f"POST {V1}/customers/batch": Case(
        Role.CASHIER,
        lambda world: {"customers": [_CUSTOMER(world)]},
        naming=tuple(
            (lambda world, body=body: {"customers": [body(world)]})  # type: ignore[misc]
            for body in _CUSTOMER_NAMING
        ),
    ),
    f"GET {V1}/customers/duplicates": Case(
        Role.MANAGER, queries=(lambda world: f"customerId={world.customer}",)
    ),
    f"GET {CUSTOMER}": Case(Role.CASHIER),
    f"PUT {CUSTOMER}": Case(Role.CASHIER, _CUSTOMER, naming=_CUSTOMER_NAMING),
    f"PATCH {CUSTOMER}": Case(Role.CASHIER, _CUSTOMER, naming=_CUSTOMER_NAMING),
    f"DELETE {CUSTOMER}": Case(Role.MANAGER),
    f"GET {CUSTOMER}/addresses": Case(Role.CASHIER),
    f"POST {CUSTOMER}/addresses": Case(Role.CASHIER, _ADDRESS),
    f"GET {CUSTOMER}/addresses/<uuid:address_id>": Case(Role.CASHIER),
    f"PUT {CUSTOMER}/addresses/<uuid:address_id>": Case(Role.CASHIER, _ADDRESS),
    f"PATCH {CUSTOMER}/addresses/<uuid:address_id>": Case(Role.CASHIER, _ADDRESS),
    f"DELETE {CUSTOMER}/addresses/<uuid:address_id>": Case(Role.CASHIER),
    f"GET {CUSTOMER}/preferences": Case(Role.CASHIER),
    f"PUT {CUSTOMER}/preferences": Case(Role.CASHIER, lambda world: {"email": {"marketing": True}}),
    f"PATCH {CUSTOMER}/preferences": Case(Role.CASHIER, lambda world: {"email": {"marketing": True}}),
    f"GET {CUSTOMER}/consents": Case(Role.CASHIER),
    f"POST {CUSTOMER}/consents": Case(
        Role.CASHIER,
        lambda world: {"channel": "sms", "purpose": "marketing", "state": "granted", "source": "till"},
    ),
    # The record as a whole
    f"GET {CUSTOMER}/timeline": Case(Role.CASHIER),
    f"POST {CUSTOMER}/merge": Case(
        Role.MANAGER,
        lambda world: {"sourceId": str(world.other_customer)},
        naming=(
            lambda world: {"sourceId": str(world.other_customer)},
            lambda world: {"sourceId": str(world.other_customer), "preview": True},
        ),
    ),
    f"POST {CUSTOMER}/merge/<uuid:merge_id>/undo": Case(Role.MANAGER),
    f"POST {CUSTOMER}/erase": Case(Role.MANAGER),
    f"GET {CUSTOMER}/export": Case(Role.MANAGER),
    # Events
    f"GET {CUSTOMER}/events": Case(Role.CASHIER),
    f"POST {CUSTOMER}/events": Case(
        Role.CASHIER, _EVENT, naming=(lambda world: {**_EVENT(world), "eventId": world.event_id},)
    ),
    f"POST {V1}/events/batch": Case(
        Role.CASHIER,
        lambda world: {"events": [{**_EVENT(world), "customerId": str(world.customer)}]},
        naming=(lambda world: {"events": [{**_EVENT(world), "customerId": str(world.customer)}]},),
    ),
    # Sales
    f"POST {V1}/purchases": Case(Role.CASHIER, _sale(), naming=_SALES_NAMING),
    f"POST {V1}/purchases/quote": Case(Role.CASHIER, _sale(), naming=_SALES_NAMING),
    f"POST {V1}/purchases/batch": Case(
        Role.CASHIER,
        lambda world: {"purchases": [_sale()(world)]},
        naming=tuple(
            (lambda world, body=body: {"purchases": [body(world)]})  # type: ignore[misc]
            for body in _SALES_NAMING
        ),
    ),
    f"POST {V1}/purchases/<path:transaction_id>/returns": Case(
        Role.CASHIER,
        lambda world: {"transactionId": "BACK-1"},
        naming=(lambda world: {"transactionId": "BACK-1", "purchaseStoreId": str(world.store)},),
    ),
    f"GET {CUSTOMER}/purchases": Case(Role.CASHIER, queries=(lambda world: f"storeId={world.store}",)),
    # Loyalty
    f"POST {V1}/customers/loyalty/points": Case(Role.CASHIER, _POINTS, naming=(_POINTS,)),
    f"GET {CUSTOMER}/loyalty": Case(Role.CASHIER),
    f"GET {CUSTOMER}/loyalty/transactions": Case(
        Role.CASHIER, queries=(lambda world: f"storeId={world.store}",)
    ),
    f"GET {CUSTOMER}/loyalty/tiers": Case(Role.CASHIER),
    f"POST {CUSTOMER}/loyalty/tier-override": Case(
        Role.MANAGER, lambda world: {"tier": "bronze", "reason": "A regular of years ago"}
    ),
    f"DELETE {CUSTOMER}/loyalty/tier-override": Case(Role.MANAGER),
    f"GET {CUSTOMER}/loyalty/holds": Case(Role.CASHIER),
    f"POST {CUSTOMER}/loyalty/holds": Case(
        Role.CASHIER,
        _HOLD,
        naming=(lambda world: {"transactionId": "HOLD-1", "rewardId": str(world.reward)},),
    ),
    f"GET {CUSTOMER}/loyalty/rewards": Case(Role.CASHIER),
    f"POST {CUSTOMER}/loyalty/rewards/<uuid:reward_id>/redeem": Case(
        Role.CASHIER, lambda world: {"transactionId": "REWARD-1"}
    ),
    f"GET {CUSTOMER}/loyalty/vouchers": Case(Role.CASHIER),
    f"GET {V1}/loyalty/vouchers/lookup": Case(
        Role.CASHIER, queries=(lambda world: f"code={world.voucher_code}",)
    ),
    f"POST {V1}/loyalty/vouchers/use": Case(
        Role.CASHIER,
        lambda world: {"code": world.voucher_code, "transactionId": "VOUCHER-1"},
        naming=(lambda world: {"code": world.voucher_code, "transactionId": "VOUCHER-2"},),
    ),
    f"POST {V1}/loyalty/vouchers/<uuid:voucher_id>/release": Case(
        Role.CASHIER, after=(f"POST {V1}/loyalty/vouchers/use",)
    ),
    f"GET {V1}/loyalty/holds/<uuid:hold_id>": Case(Role.CASHIER),
    f"POST {V1}/loyalty/holds/<uuid:hold_id>/capture": Case(Role.CASHIER),
    f"POST {V1}/loyalty/holds/<uuid:hold_id>/release": Case(Role.CASHIER),
    f"GET {V1}/loyalty/rewards": Case(Role.CASHIER),
    f"POST {V1}/loyalty/rewards": Case(Role.MANAGER, _REWARD),
    f"GET {V1}/loyalty/rewards/<uuid:reward_id>": Case(Role.CASHIER),
    f"PATCH {V1}/loyalty/rewards/<uuid:reward_id>": Case(Role.MANAGER, _REWARD),
    f"DELETE {V1}/loyalty/rewards/<uuid:reward_id>": Case(Role.MANAGER),
    f"POST {V1}/loyalty/redemptions/<uuid:redemption_id>/cancel": Case(Role.CASHIER),
    f"GET {V1}/loyalty/promotions": Case(Role.CASHIER),
    f"POST {V1}/loyalty/promotions": Case(Role.MANAGER, _PROMOTION, naming=(_PROMOTION_AT,)),
    f"GET {V1}/loyalty/promotions/<uuid:promotion_id>": Case(Role.CASHIER),
    f"PATCH {V1}/loyalty/promotions/<uuid:promotion_id>": Case(
        Role.MANAGER, _PROMOTION, naming=(_PROMOTION_AT,)
    ),
    f"DELETE {V1}/loyalty/promotions/<uuid:promotion_id>": Case(Role.MANAGER),
    f"POST {V1}/loyalty/dry-runs": Case(
        Role.MANAGER,
        lambda world: {"promotion": _PROMOTION(world), "days": 30},
        naming=(
            lambda world: {"promotion": _PROMOTION_AT(world), "days": 30},
            lambda world: {"promotion": {**_PROMOTION(world), "id": str(world.promotion)}, "days": 30},
        ),
    ),
    f"GET {V1}/loyalty/analytics": Case(Role.MANAGER, queries=(lambda world: f"storeId={world.store}",)),
    f"GET {V1}/loyalty/program": Case(Role.CASHIER),
    f"PUT {V1}/loyalty/program": Case(Role.MANAGER, _PROGRAM),
    f"POST {V1}/loyalty/program/preview": Case(Role.MANAGER, lambda world: {"pendingDays": 7}),
    # Analytics
    f"GET {V1}/analytics/overview": Case(Role.MANAGER, queries=(lambda world: f"storeId={world.store}",)),
    f"GET {V1}/analytics/cohorts": Case(Role.MANAGER, queries=(lambda world: f"storeId={world.store}",)),
    f"GET {V1}/analytics/cohorts/<str:cohort>/customers": Case(
        Role.MANAGER, queries=(lambda world: f"storeId={world.store}",)
    ),
    f"GET {V1}/analytics/products": Case(Role.MANAGER, queries=(lambda world: f"storeId={world.store}",)),
    f"GET {V1}/analytics/segments": Case(Role.MANAGER),
    f"GET {V1}/analytics/customers/<uuid:customer_id>": Case(Role.MANAGER),
    f"GET {V1}/analytics/models": Case(Role.MANAGER),
    f"POST {V1}/analytics/recalculate": Case(Role.MANAGER, lambda world: {"mode": "incremental"}),
    f"GET {V1}/analytics/jobs/<uuid:job_id>": Case(Role.MANAGER),
    f"POST {V1}/analytics/jobs/<uuid:job_id>/cancel": Case(Role.MANAGER),
    f"GET {V1}/analytics/settings": Case(Role.MANAGER),
    f"PUT {V1}/analytics/settings": Case(Role.OWNER, _THRESHOLDS),
    f"POST {V1}/analytics/settings/preview": Case(Role.MANAGER, _THRESHOLDS),
    # Jobs
    f"GET {V1}/jobs": Case(Role.MANAGER),
    f"GET {V1}/jobs/<uuid:job_id>": Case(Role.MANAGER),
    f"POST {V1}/jobs/<uuid:job_id>/cancel": Case(Role.MANAGER),
    f"GET {V1}/events/types": Case(Role.CASHIER),
    f"POST {V1}/events/types": Case(Role.MANAGER, lambda world: {"type": f"visit.v{uuid.uuid4().hex[:8]}"}),
    f"GET {V1}/events/types/<uuid:event_type_id>": Case(Role.CASHIER),
    f"PATCH {V1}/events/types/<uuid:event_type_id>": Case(Role.MANAGER),
    f"DELETE {V1}/events/types/<uuid:event_type_id>": Case(Role.MANAGER),
    # Imports
    f"GET {V1}/imports": Case(Role.MANAGER),
    f"POST {V1}/imports": Case(Role.MANAGER, lambda world: {"fileName": "customers.csv"}),
    f"GET {V1}/imports/fields": Case(Role.MANAGER),
    f"GET {IMPORT}": Case(Role.MANAGER),
    f"DELETE {IMPORT}": Case(Role.MANAGER),
    f"POST {IMPORT}/run": Case(Role.MANAGER),
    f"POST {IMPORT}/undo": Case(Role.MANAGER),
    f"GET {IMPORT}/rows": Case(Role.MANAGER),
    f"GET {IMPORT}/failed": Case(Role.MANAGER),
    f"PUT {UPLOAD}/parts/<int:number>": Case(Role.MANAGER, lambda world: {"bytes": "of any kind"}),
    f"POST {UPLOAD}/uploaded": Case(Role.MANAGER),
    f"PATCH {UPLOAD}/settings": Case(Role.MANAGER, lambda world: {"mode": "create"}),
    f"POST {UPLOAD}/check": Case(Role.MANAGER),
    # Exports
    f"GET {V1}/exports": Case(Role.MANAGER),
    f"POST {V1}/exports": Case(
        Role.MANAGER,
        lambda world: {
            "kind": "customers",
            "filters": {"segmentId": str(world.segment), "storeId": str(world.store)},
        },
    ),
    f"GET {V1}/exports/kinds": Case(Role.MANAGER),
    f"GET {EXPORT}": Case(Role.MANAGER),
    f"DELETE {EXPORT}": Case(Role.MANAGER),
    f"POST {EXPORT}/cancel": Case(Role.MANAGER),
    f"GET {EXPORT}/file": Case(Role.MANAGER),
    # Webhooks
    f"GET {V1}/webhooks": Case(Role.MANAGER),
    f"POST {V1}/webhooks": Case(Role.MANAGER, _WEBHOOK),
    f"GET {WEBHOOK}": Case(Role.MANAGER),
    f"PATCH {WEBHOOK}": Case(Role.MANAGER, _WEBHOOK),
    f"DELETE {WEBHOOK}": Case(Role.MANAGER),
    f"GET {WEBHOOK}/deliveries": Case(Role.MANAGER),
    f"POST {WEBHOOK}/test": Case(Role.MANAGER),
    f"POST {WEBHOOK}/rotate-secret": Case(Role.MANAGER),
    f"POST {WEBHOOK}/replay": Case(Role.MANAGER, lambda world: {"since": _an_hour_ago()}),
    f"GET {WEBHOOK}/deliveries/<uuid:delivery_id>": Case(Role.MANAGER),
    f"POST {WEBHOOK}/deliveries/<uuid:delivery_id>/resend": Case(Role.MANAGER),
    # Consent
    f"GET {V1}/customers/<uuid:customer_id>/consents/links": Case(Role.CASHIER),
    f"POST {V1}/customers/<uuid:customer_id>/consents/confirmation": Case(
        Role.CASHIER, lambda world: {"purpose": "marketing"}
    ),
    # A number that nobody has is no error: tests/marketing/test_consent_pages.py.
    f"POST {V1}/text-messages": Case(Role.CASHIER, lambda world: {"sender": world.phone, "text": "HELP"}),
    "GET /unsubscribe/<str:token>": Case(PUBLIC),
    "POST /unsubscribe/<str:token>": Case(PUBLIC),
    "GET /preferences/<str:token>": Case(PUBLIC),
    "POST /preferences/<str:token>": Case(PUBLIC),
    "GET /confirm/<str:token>": Case(PUBLIC),
    "POST /confirm/<str:token>": Case(PUBLIC),
    f"GET {V1}/messaging-settings": Case(Role.MANAGER),
    f"PUT {V1}/messaging-settings": Case(
        Role.OWNER, lambda world: {"senderName": "The corner", "perSecond": "5"}
    ),
    f"GET {V1}/campaigns/variables": Case(Role.MANAGER),
    f"GET {V1}/campaigns/<uuid:campaign_id>/results": Case(Role.MANAGER),
    f"GET {V1}/suppressions": Case(Role.MANAGER),
    f"POST {V1}/suppressions": Case(
        Role.MANAGER, lambda world: {"channel": "email", "address": "carol@shop.example"}
    ),
    f"DELETE {V1}/suppressions/<uuid:suppression_id>": Case(Role.MANAGER),
    "GET /t/<str:token>": Case(PUBLIC),
    "GET /s/<str:token>": Case(PUBLIC),
    "GET /o/<str:token>": Case(PUBLIC),
    "GET /provider-events/twilio/<uuid:merchant_id>/<uuid:message_id>": Case(PUBLIC),
    # Segments
    f"GET {V1}/segments": Case(Role.MANAGER),
    f"POST {V1}/segments": Case(Role.MANAGER, _SEGMENT, naming=_SEGMENTS_NAMING),
    f"POST {V1}/segments/preview": Case(
        Role.MANAGER, lambda world: {"rule": _RULE(world)}, naming=_PREVIEWS_NAMING
    ),
    f"GET {V1}/segments/schema": Case(Role.MANAGER),
    f"GET {SEGMENT}": Case(Role.MANAGER),
    f"PATCH {SEGMENT}": Case(Role.MANAGER, lambda world: {"description": "Of this spring"}),
    f"DELETE {SEGMENT}": Case(Role.MANAGER),
    f"GET {SEGMENT}/members": Case(Role.MANAGER),
    f"POST {SEGMENT}/members": Case(Role.MANAGER, _MEMBERS, naming=(_MEMBERS,)),
    f"POST {SEGMENT}/members/remove": Case(Role.MANAGER, _MEMBERS),
    f"GET {SEGMENT}/explain": Case(Role.MANAGER, queries=(lambda world: f"customerId={world.customer}",)),
    f"POST {SEGMENT}/rebuild": Case(Role.MANAGER),
    # Campaigns
    f"GET {V1}/campaigns": Case(Role.MANAGER),
    f"POST {V1}/campaigns": Case(Role.MANAGER, _CAMPAIGN, naming=_CAMPAIGNS_NAMING),
    f"GET {CAMPAIGN}": Case(Role.MANAGER),
    f"PATCH {CAMPAIGN}": Case(Role.MANAGER, lambda world: {"name": "Summer"}),
    f"DELETE {CAMPAIGN}": Case(Role.MANAGER),
    f"POST {CAMPAIGN}/copy": Case(Role.MANAGER, lambda world: {"name": "Again"}),
    f"GET {CAMPAIGN}/audience": Case(Role.MANAGER),
    f"POST {CAMPAIGN}/preview": Case(Role.MANAGER, _PREVIEWED, naming=(_PREVIEWED,)),
    f"POST {CAMPAIGN}/test": Case(
        Role.MANAGER,
        lambda world: {"addresses": ["owner@shop.example"]},
        naming=(lambda world: {"addresses": ["owner@shop.example"], **_PREVIEWED(world)},),
    ),
    f"POST {CAMPAIGN}/schedule": Case(Role.MANAGER),
    f"POST {CAMPAIGN}/pause": Case(Role.MANAGER, after=(f"POST {CAMPAIGN}/schedule",)),
    f"POST {CAMPAIGN}/resume": Case(
        Role.MANAGER, after=(f"POST {CAMPAIGN}/schedule", f"POST {CAMPAIGN}/pause")
    ),
    f"POST {CAMPAIGN}/cancel": Case(Role.MANAGER, after=(f"POST {CAMPAIGN}/schedule",)),
    f"POST {CAMPAIGN}/resend-unknown": Case(Role.MANAGER),
    f"GET {CAMPAIGN}/runs": Case(Role.MANAGER),
    f"GET {CAMPAIGN}/messages": Case(Role.MANAGER, queries=(lambda world: f"customerId={world.customer}",)),
}


def send(
    client: Any, key: str, world: World, *, body: dict[str, Any] | None = None, query: str = "", **more: Any
) -> Any:
    """The request of a case, with `world`'s ids in its path."""
    method, template = key.split(" ", 1)
    path = world.path(template) + (f"?{query}" if query else "")
    if method in ("GET", "DELETE"):
        return getattr(client, method.lower())(path, **more)
    payload = CASES[key].body(world) if body is None else body
    return getattr(client, method.lower())(path, payload, content_type="application/json", **more)
