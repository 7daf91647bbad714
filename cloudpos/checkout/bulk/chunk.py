"""One transaction's part of a history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.timezone import now

from analytics.rollups.changes import note_history
from cloudpos.checkout import receipts
from cloudpos.checkout.bulk.copying import COPIED, copy_rows
from cloudpos.checkout.bulk.rows import Row, Step, return_as_sent, sale_as_sent, steps_of
from cloudpos.checkout.returns import record_return
from cloudpos.checkout.sales import ZERO, as_loyalty_sale, record_sale
from cloudpos.ids import new_id
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.zones import store_zones
from customers.models import Customer
from customers.purchases import NewPurchase, NewReturn
from customers.services import lock_customers, write_standings
from loyalty.ledger import Account, use_budgets
from loyalty.rules import SalePoints, TakeBack, to_cents
from loyalty.services import accrue, read_accounts
from loyalty.services.postings import Posting, as_goods
from loyalty.services.sales import take_back_latest


@dataclass(slots=True)
class LoadReport:
    """How many rows are new, were on record already, and are on record with other content (left as they are)."""

    purchases: int = 0
    returns: int = 0
    repeated: int = 0
    conflicting: int = 0

    def add(self, other: LoadReport) -> None:
        self.purchases += other.purchases
        self.returns += other.returns
        self.repeated += other.repeated
        self.conflicting += other.conflicting


class Chunk:
    """The work of one transaction: rows for COPY, table by table."""

    def __init__(self, access: Access, chunk: list[list[Row]]) -> None:
        self.access = access
        self.at = now()
        self.report = LoadReport()
        self.steps: dict[uuid.UUID, list[Step]] = {}
        for sales in chunk:
            steps = self.steps.setdefault(sales[0]["customer_id"], [])
            for sale in sales:
                steps.extend(steps_of(sale, access=access, at=self.at))
        self._zones: dict[uuid.UUID, ZoneInfo] = {}
        self.copies: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COPIED}

    def load(self) -> LoadReport:
        access = self.access
        customers = {
            customer.pk: customer
            for customer in lock_customers(
                merchant_id=access.merchant_id, customer_ids=list(dict.fromkeys(self.steps))
            )
        }
        self._leave_out_known()
        accounts = read_accounts(merchant_id=access.merchant_id, customer_ids=list(customers), lock=True)
        touched: list[tuple[Customer, Account | None]] = []
        slow: list[list[Step]] = []
        for customer_id, steps in self.steps.items():
            if not steps:
                continue
            customer, account = customers[customer_id], accounts.get(customer_id)
            steps.sort(key=lambda step: step.order)
            if self._is_latest(customer, account, steps):
                self._sell(customer, account, steps)
                touched.append((customer, account))
            else:
                slow.append(steps)
        self._write(touched)
        for steps in slow:
            self._send_one_by_one(steps)
        return self.report

    # --- What is on record ------------------------------------------------------------------------------

    def _leave_out_known(self) -> None:
        """Drop the steps whose transactions are on record, or here twice."""
        every = [step for steps in self.steps.values() for step in steps]
        sales = self._on_record("purchases", [step.purchase for step in every if step.back is None])
        backs = self._on_record("purchase_returns", [step.back for step in every if step.back is not None])
        first: dict[tuple[uuid.UUID, str], NewPurchase] = {}
        for customer_id, steps in self.steps.items():
            left = []
            for step in steps:
                subject = step.back or step.purchase
                seen = sales if step.back is None else backs
                key = (subject.store_id, subject.transaction_id)
                if key not in seen:
                    seen[key] = subject.content_hash
                    if step.back is None:
                        first[key] = step.purchase
                    elif (
                        origin := first.get((step.purchase.store_id, step.purchase.transaction_id))
                    ) is not None:
                        step.purchase = origin
                        step.back = replace(step.back, purchase_id=origin.id)
                    left.append(step)
                elif seen[key] == subject.content_hash:
                    self.report.repeated += 1
                else:
                    self.report.conflicting += 1
            self.steps[customer_id] = left

    def _on_record(self, table: str, subjects: Sequence[Any]) -> dict[tuple[uuid.UUID, str], bytes]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.store_id, t.transaction_id, t.content_hash FROM {table} t"  # noqa: S608
                " JOIN unnest(%s::uuid[], %s::text[]) v (store_id, transaction_id)"
                " ON t.store_id = v.store_id AND t.transaction_id = v.transaction_id WHERE t.merchant_id = %s",
                [
                    [subject.store_id for subject in subjects],
                    [subject.transaction_id for subject in subjects],
                    self.access.merchant_id,
                ],
            )
            return {(store_id, number): bytes(digest) for store_id, number, digest in cursor.fetchall()}

    # --- Arithmetic -------------------------------------------------------------------------------------------

    def _is_latest(self, customer: Customer, account: Account | None, steps: Sequence[Step]) -> bool:
        """Whether everything here comes after what is on record, and returns only what is here."""
        here = {step.purchase.id for step in steps if step.back is None}
        if customer.deleted_at is not None or any(
            step.back is not None and step.purchase.id not in here for step in steps
        ):
            return False
        if customer.visit_count == 0:
            return True
        return (
            account is not None
            and not account.is_new
            # Otherwise it takes the purchases on record to know the tier.
            and account.book.is_lifetime
            and account.spend_cents == to_cents(customer.total_spent)
            and (account.last_activity_at is None or steps[0].order[0] > account.last_activity_at)
        )

    def _sell(self, customer: Customer, account: Account | None, steps: Sequence[Step]) -> None:
        """What `record_sale` and `record_return` do, in memory."""
        if account is not None and not account.book.is_lifetime and account.tiers.courses is None:
            account.tiers.begin()
        earned: dict[uuid.UUID, SalePoints | None] = {}
        returned: dict[uuid.UUID, Decimal] = {}
        for step in steps:
            if step.back is None:
                earned[step.purchase.id] = self._sell_one(customer, account, step.purchase)
                self.report.purchases += 1
            else:
                before = returned.get(step.purchase.id, ZERO)
                if before + step.back.amount > step.purchase.amount:
                    raise ValueError(f"returns of purchase {step.purchase.transaction_id} exceed it")
                returned[step.purchase.id] = before + step.back.amount
                origin = earned[step.purchase.id]
                self._return_one(customer, account, step.purchase, step.back, origin, before)
                self.report.returns += 1

    def _sell_one(
        self, customer: Customer, account: Account | None, purchase: NewPurchase
    ) -> SalePoints | None:
        sale = as_loyalty_sale(purchase, account)
        posting: Posting | None = None
        if account is not None:
            posting = accrue(
                account=account,
                customer=customer,
                sale=sale,
                zone=self._zone(purchase.store_id),
                actor_id=self.access.user_id,
                latest=True,
            )
        outcome = receipts.purchase_outcome(
            customer_id=customer.pk, sale=sale, currency=purchase.currency, account=account, posting=posting
        )
        customer.total_spent += purchase.amount
        customer.visit_count += 1
        customer.first_visit_at = min(customer.first_visit_at or purchase.occurred_at, purchase.occurred_at)
        customer.last_visit_at = max(customer.last_visit_at or purchase.occurred_at, purchase.occurred_at)
        self.copies["purchases"].append(
            (
                purchase.id, purchase.merchant_id, customer.pk, purchase.store_id, purchase.transaction_id,
                purchase.amount, purchase.tax, purchase.discount, purchase.currency, purchase.payment_method,
                purchase.channel, purchase.occurred_at, purchase.recorded_at, purchase.content_hash,
                outcome,
            )
        )  # fmt: skip
        for line, item in enumerate(purchase.items, start=1):
            self.copies["purchase_items"].append(
                (
                    new_id(), purchase.merchant_id, purchase.id, line, item.sku, item.name, item.category,
                    item.quantity, item.unit_price, item.tax,
                )
            )  # fmt: skip
        self._log(customer, account, purchase.store_id, receipts.sold_event(purchase))
        return posting.sale if posting is not None else None

    def _zone(self, store_id: uuid.UUID) -> ZoneInfo:
        if store_id == self.access.store_id:
            return self.access.tz
        if not self._zones:
            self._zones = store_zones(self.access.merchant_id)
        return self._zones[store_id]

    def _return_one(
        self,
        customer: Customer,
        account: Account | None,
        purchase: NewPurchase,
        back: NewReturn,
        origin: SalePoints | None,
        returned: Decimal,
    ) -> None:
        posting: Posting | None = None
        if account is not None and origin is not None:
            step = TakeBack(
                back.id,
                purchase.id,
                to_cents(back.amount),
                max(back.occurred_at, purchase.occurred_at),
                (back.transaction_id, back.store_id),
                as_goods([(purchase.items[line - 1], quantity) for line, quantity in back.lines])
                if account.book.needs_lines
                else (),
            )
            posting = take_back_latest(
                account=account, origin=origin, back=step, actor_id=self.access.user_id
            )
        outcome = receipts.return_outcome(
            customer_id=customer.pk,
            sold=purchase.amount,
            returned=returned + back.amount,
            account=account,
            posting=posting,
        )
        customer.total_spent -= back.amount
        self.copies["purchase_returns"].append(
            (
                back.id, back.merchant_id, customer.pk, back.store_id, back.purchase_id, back.transaction_id,
                back.amount, back.reason, back.occurred_at, back.recorded_at, back.content_hash,
                outcome,
            )
        )  # fmt: skip
        for line, quantity in back.lines:
            self.copies["purchase_return_items"].append((new_id(), back.merchant_id, back.id, line, quantity))
        self._log(customer, account, back.store_id, receipts.returned_event(back, purchase))

    def _log(
        self,
        customer: Customer,
        account: Account | None,
        store_id: uuid.UUID,
        first: tuple[str, dict[str, Any], datetime],
    ) -> None:
        self._log_all(customer, store_id, [first, *(account.tell() if account is not None else ())])

    def _log_all(
        self,
        customer: Customer,
        store_id: uuid.UUID,
        happened: Sequence[tuple[str, dict[str, Any], datetime]],
    ) -> None:
        """Events as history: stamped as dispatched, so nobody is told of sales of years ago."""
        for type, data, at in happened:
            self.copies["customer_events"].append(
                (
                    new_id(), self.access.merchant_id, customer.pk, store_id, type, data, "",
                    self.access.user_id, "", at, self.at, self.at,
                )
            )  # fmt: skip

    # --- Writing ----------------------------------------------------------------------------------------------

    def _write(self, touched: Sequence[tuple[Customer, Account | None]]) -> None:
        for customer, account in touched:
            if account is None:
                continue
            if account.tiers.is_overdue(account.at):
                # The history ended long ago.
                account.tiers.advance(account.at)
                self._log_all(customer, self.steps[customer.pk][-1].purchase.store_id, account.tell())
            customer.points, customer.tier = account.balance, account.tier
            if not account.is_new:
                # Already there: its lots may be used up by returns, its row is updated.
                account.write()
                continue
            for table, rows in account.new_rows().items():
                self.copies[table].extend(rows)
            self.copies["loyalty_enrollments"].append(account.enrollment_values())
        copy_rows(self.copies)
        use_budgets(
            merchant_id=self.access.merchant_id,
            awards=[
                award for _, account in touched if account and account.is_new for award in account.awards
            ],
        )
        write_standings(customers=[customer for customer, _ in touched])
        self._tell_analytics()

    def _tell_analytics(self) -> None:
        """Nobody relays history, so which days it changes is written down here."""
        if not self._zones:
            self._zones = store_zones(self.access.merchant_id)
        type_, store, at = (
            COPIED["customer_events"].index(name) for name in ("type", "store_id", "occurred_at")
        )
        note_history(
            merchant_id=self.access.merchant_id,
            zones=self._zones,
            happened=[(row[type_], row[store], row[at]) for row in self.copies["customer_events"]],
        )

    def _send_one_by_one(self, steps: Sequence[Step]) -> None:
        """As a till would have, in the same transaction; these are news, and events say so."""
        for step in steps:
            store = replace(self.access, store_id=(step.back or step.purchase).store_id)
            if step.back is None:
                record_sale(access=store, sale=sale_as_sent(step), at=self.at)
                self.report.purchases += 1
            else:
                record_return(
                    access=store,
                    purchase_transaction_id=step.purchase.transaction_id,
                    back=return_as_sent(step),
                    at=self.at,
                )
                self.report.returns += 1
