"""Consent: an append-only log of what customers said, and its fold, the preferences.

The fold of a (channel, purpose) is what was said last by `occurred_at`, whatever the order of arrival; of two things
said at the same instant the withdrawal counts. Nobody said anything: see DEFAULTS.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Max
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from customers.events import emit_all, event
from customers.models import Channel, Consent, ConsentState, Customer, Event, Preferences, Purpose
from customers.services.finding import lock_customer

# Clocks of tills differ by as much.
CLOCK_SKEW = timedelta(minutes=5)
PREFERENCES_SOURCE = "preferences"

# Privacy by default (GDPR article 25): what a sale needs is on, the rest waits for a yes.
DEFAULTS: Mapping[str, bool] = {
    Purpose.MARKETING.value: False,
    Purpose.TRANSACTIONAL.value: True,
    Purpose.ANALYTICS.value: False,
}
STYLE_DEFAULTS: Mapping[str, Any] = {
    "language": "",
    "quiet_hours_start": None,
    "quiet_hours_end": None,
    "max_messages_per_week": None,
}


class ConsentFromTheFuture(BadRequest):
    message = "This time is in the future."


@use_case
def record_consent(
    *, access: Access, customer_id: uuid.UUID, data: Mapping[str, Any], ip: str | None = None
) -> Consent:
    """Append one statement to the log. `ip` stands in when `data` has none. Raises CustomerNotFound."""
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    statement = build_consent(
        customer,
        channel=data["channel"],
        purpose=data["purpose"],
        state=data["state"],
        source=data["source"],
        wording_version=data.get("wording_version") or "",
        ip=data.get("ip") or ip,
        actor_id=access.user_id,
        occurred_at=data.get("occurred_at"),
    )
    append_consents(customer, [statement], store_id=access.store_id)
    return statement


@use_case
def change_preferences(
    *,
    access: Access,
    customer_id: uuid.UUID,
    data: Mapping[str, Any],
    replace: bool = False,
    ip: str | None = None,
    expected_version: int | None = None,
) -> None:
    """Change how a customer wants to be spoken to: {"email": {"marketing": True}, "language": "de", ...}.

    A channel's purpose that differs from what counts now is appended to the log, so that preferences stay its fold.
    With `replace` language, quiet hours and frequency cap return to nothing unless said; consent once said stays
    said. Raises CustomerNotFound.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    if replace:
        data = {**STYLE_DEFAULTS, **data}
    apply_preferences(customer, data, access=access, ip=ip)


@use_case
def say_for_oneself(
    *,
    merchant_id: uuid.UUID,
    customer_id: uuid.UUID,
    data: Mapping[str, Any],
    source: str,
    ip: str | None = None,
    wording_version: str = "",
) -> int:
    """What a customer says on a page or by a message of their own: `data` as in `change_preferences`. Returns how much was new.

    What was said before is not said again, but what never was is, also where it is the default: a no of one's own must not
    look like silence. Raises CustomerNotFound.
    """
    customer = lock_customer(merchant_id=merchant_id, customer_id=customer_id)
    return append_own(customer, data, source=source, ip=ip, wording_version=wording_version)


def append_own(
    customer: Customer,
    data: Mapping[str, Any],
    *,
    source: str,
    ip: str | None = None,
    wording_version: str = "",
) -> int:
    """`say_for_oneself` of a locked customer, inside the caller's transaction."""
    row = _preferences(customer)
    style = {name: value for name, value in _style(data).items() if getattr(row, name) != value}
    statements = [
        build_consent(
            customer,
            channel=channel,
            purpose=purpose,
            state=ConsentState.GRANTED if granted else ConsentState.WITHDRAWN,
            source=source,
            wording_version=wording_version,
            ip=ip,
        )
        for channel in Channel.values
        for purpose, granted in (data.get(channel) or {}).items()
        if row.consents.get(channel, {}).get(purpose) is not granted
    ]
    _after_what_was_said(customer, statements)
    if style:
        for name, value in style.items():
            setattr(row, name, value)
        _save_preferences(row, style)
    if statements:
        append_consents(customer, statements)
    elif style:
        _new_version(customer)
    return len(statements) + len(style)


def apply_preferences(
    customer: Customer, data: Mapping[str, Any], *, access: Access, ip: str | None = None
) -> None:
    """`change_preferences` of a locked customer, inside the caller's transaction. Bumps the version if it changes."""
    row = _preferences(customer)
    style = _style(data)
    changed = {name for name, value in style.items() if getattr(row, name) != value}
    for name in changed:
        setattr(row, name, style[name])
    if (row.quiet_hours_start is None) != (row.quiet_hours_end is None):
        raise BadRequest(
            "Give both the start and the end of quiet hours.", field="quietHours", code="required"
        )
    statements = statements_of(customer, data, said=row.consents, access=access, ip=ip)
    _after_what_was_said(customer, statements)
    if not changed and not statements:
        return
    if changed:
        _save_preferences(row, style)
    if statements:
        append_consents(customer, statements, store_id=access.store_id)
    else:
        _new_version(customer)


def statements_of(
    customer: Customer,
    data: Mapping[str, Any],
    *,
    said: Mapping[str, Mapping[str, bool]],
    access: Access,
    ip: str | None,
    source: str = PREFERENCES_SOURCE,
) -> list[Consent]:
    """Unsaved statements for every channel and purpose in `data` that differs from what was `said`, else the default."""
    statements = []
    at = now()
    for channel in Channel.values:
        for purpose, granted in (data.get(channel) or {}).items():
            if granted == said.get(channel, {}).get(purpose, DEFAULTS[purpose]):
                continue
            statements.append(
                build_consent(
                    customer,
                    channel=channel,
                    purpose=purpose,
                    state=ConsentState.GRANTED if granted else ConsentState.WITHDRAWN,
                    source=source,
                    ip=ip,
                    actor_id=access.user_id,
                    occurred_at=at,
                )
            )
    return statements


def _after_what_was_said(customer: Customer, statements: Sequence[Consent]) -> None:
    """Have statements of now count also against those that a till with a fast clock dated after now."""
    if not statements:
        return
    ahead = (
        Consent.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk, occurred_at__gte=min(each.occurred_at for each in statements))
        .order_by()
        .values_list("channel", "purpose")
        .annotate(at=Max("occurred_at"))
    )
    latest = {(channel, purpose): at for channel, purpose, at in ahead}
    for statement in statements:
        at = latest.get((statement.channel, statement.purpose))
        if at is not None:
            statement.occurred_at = max(statement.occurred_at, at + timedelta(microseconds=1))


def build_consent(
    customer: Customer,
    *,
    channel: str,
    purpose: str,
    state: str,
    source: str,
    wording_version: str = "",
    ip: str | None = None,
    actor_id: uuid.UUID | None = None,
    occurred_at: datetime | None = None,
    at: datetime | None = None,
) -> Consent:
    """An unsaved statement, recorded `at` a time or now. `occurred_at` may lie in the past; raises ConsentFromTheFuture beyond
    CLOCK_SKEW.
    """
    at = at or now()
    if occurred_at is not None and occurred_at > at + CLOCK_SKEW:
        raise ConsentFromTheFuture(
            errors=[FieldError("occurredAt", ConsentFromTheFuture.message, "future_time")]
        )
    return draft(
        Consent,
        merchant_id=customer.merchant_id,
        customer_id=customer.pk,
        channel=channel,
        purpose=purpose,
        state=state,
        source=source,
        wording_version=wording_version,
        ip=ip,
        actor_id=actor_id,
        occurred_at=occurred_at or at,
        recorded_at=at,
    )


def append_consents(
    customer: Customer, statements: Sequence[Consent], *, store_id: uuid.UUID | None = None
) -> None:
    """Append statements of a locked customer and fold the log again, inside the caller's transaction."""
    if not statements:
        return
    Consent.objects.bulk_create(statements)
    refold_consents(customer)
    emit_all([consent_event(statement, store_id=store_id) for statement in statements])


def refold_consents(customer: Customer) -> None:
    """Rebuild a locked customer's preferences from the log: after appending to it, or moving rows to or from it."""
    row = _preferences(customer)
    row.consents = fold_log(customer)
    _save_preferences(row, {"consents": row.consents})
    _new_version(customer)


def fold_log(customer: Customer) -> dict[str, dict[str, bool]]:
    """{"email": {"marketing": True}} of the pairs that were ever said. One query."""
    last = (
        Consent.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        # "withdrawn" stands after "granted".
        .order_by("channel", "purpose", "-occurred_at", "-state")
        .distinct("channel", "purpose")
        .values_list("channel", "purpose", "state")
    )
    folded: dict[str, dict[str, bool]] = {}
    for channel, purpose, state in last:
        folded.setdefault(channel, {})[purpose] = state == ConsentState.GRANTED
    return folded


def consent_event(statement: Consent, *, store_id: uuid.UUID | None) -> Event:
    """The event of a statement: who may be written to changed, without any personal data."""
    return event(
        merchant_id=statement.merchant_id,
        customer_id=statement.customer_id,
        store_id=store_id,
        actor_id=statement.actor_id,
        type="consent.changed",
        data={"channel": statement.channel, "purpose": statement.purpose, "state": statement.state},
        occurred_at=statement.occurred_at,
        request_id=current_request_id(),
    )


def initial_preferences(
    customer: Customer, data: Mapping[str, Any], *, access: Access, ip: str | None
) -> tuple[Preferences | None, list[Consent]]:
    """Unsaved preferences and statements of a customer who is being created; no row where everything is default."""
    statements = statements_of(customer, data, said={}, access=access, ip=ip, source="registration")
    style = _style(data)
    if (style.get("quiet_hours_start") is None) != (style.get("quiet_hours_end") is None):
        raise BadRequest(
            "Give both the start and the end of quiet hours.", field="quietHours", code="required"
        )
    if not statements and not any(style.values()):
        return None, []
    row = draft(Preferences, merchant_id=customer.merchant_id, customer_id=customer.pk, **style)
    for statement in statements:
        row.consents.setdefault(statement.channel, {})[statement.purpose] = (
            statement.state == ConsentState.GRANTED
        )
    return row, statements


def _style(data: Mapping[str, Any]) -> dict[str, Any]:
    style = {name: data[name] for name in STYLE_DEFAULTS if name in data}
    if "quiet_hours" in data:
        hours = data["quiet_hours"] or {}
        style["quiet_hours_start"] = hours.get("start")
        style["quiet_hours_end"] = hours.get("end")
    if style.get("language", "") is None:
        style["language"] = ""
    return style


def _preferences(customer: Customer) -> Preferences:
    found: Preferences | None = (
        Preferences.objects.for_merchant(customer.merchant_id).filter(customer_id=customer.pk).first()
    )
    return found or Preferences(merchant_id=customer.merchant_id, customer=customer)


def _save_preferences(row: Preferences, changed: Mapping[str, Any]) -> None:
    row.updated_at = now()
    if row._state.adding:
        row.save(force_insert=True)
    else:
        row.save(update_fields=[*changed, "updated_at"])


def _new_version(customer: Customer) -> None:
    at = now()
    Customer.objects.for_merchant(customer.merchant_id).filter(pk=customer.pk).update(
        version=F("version") + 1, updated_at=at
    )
    customer.version += 1
    customer.updated_at = at
