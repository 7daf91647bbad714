"""Withdrawals of many customers at once: what an import may do to consent."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Max
from django.utils.timezone import now

from cloudpos.tenancy.drafting import draft
from customers.models import Consent, Preferences
from customers.services.copying import copy_in, copy_lines, update_in


def append_withdrawals(statements: Sequence[Consent]) -> None:
    """Append withdrawals of locked customers of one merchant, inside the caller's transaction; versions and events are the
    caller's.

    They count from now on, whatever was said before: nothing else is folded again.
    """
    if not statements:
        return
    merchant_id, at = statements[0].merchant_id, now()
    customer_ids = {statement.customer_id for statement in statements}
    ahead = (
        Consent.objects.for_merchant(merchant_id)
        .filter(customer_id__in=customer_ids, occurred_at__gte=min(each.occurred_at for each in statements))
        .order_by()
        .values_list("customer_id", "channel", "purpose")
        .annotate(at=Max("occurred_at"))
    )
    latest = {(customer_id, channel, purpose): said for customer_id, channel, purpose, said in ahead}
    rows = {
        row.customer_id: row
        for row in Preferences.objects.for_merchant(merchant_id).filter(customer_id__in=customer_ids)
    }
    for statement in statements:
        said = latest.get((statement.customer_id, statement.channel, statement.purpose))
        if said is not None:
            # A till with a fast clock dated it after now.
            statement.occurred_at = max(statement.occurred_at, said + timedelta(microseconds=1))
        row = rows.get(statement.customer_id)
        if row is None:
            row = draft(Preferences, merchant_id=merchant_id, customer_id=statement.customer_id)
            rows[statement.customer_id] = row
        row.consents.setdefault(statement.channel, {})[statement.purpose] = False
        row.updated_at = at
    copy_in(Consent, [copy_lines(Consent, statements)])
    copy_in(Preferences, [copy_lines(Preferences, [row for row in rows.values() if row._state.adding])])
    changed = [row for row in rows.values() if not row._state.adding]
    update_in(Preferences, changed, ["consents", "updated_at"])
