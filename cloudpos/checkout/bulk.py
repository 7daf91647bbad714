"""Loading a history of sales: the arithmetic of the till's own functions, the speed of COPY.

Purchases of customers who had none, or who come after everything on record of their customer, are worked out in memory and
copied in; anything else (late ones, returns of purchases on record) goes through `take_purchase` and `return_purchase`
in the same transaction. So the outcome is the one that tills would have reached by sending everything one by one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils.timezone import now

from cloudpos.checkout import receipts
from cloudpos.checkout.returns import record_return, return_hash
from cloudpos.checkout.sales import CENT, CHANNEL_DEFAULT, MILLI, PRICE, ZERO, purchase_hash, record_sale
from cloudpos.ids import new_id
from cloudpos.tenancy.access import Access
from customers.models import Customer
from customers.purchases import Item, NewPurchase, NewReturn
from customers.services import lock_customers, write_standings
from loyalty.ledger import COLUMNS, Account
from loyalty.rules import Sale, SalePoints, TakeBack, to_cents
from loyalty.services import accrue, read_accounts
from loyalty.services.sales import Posting, take_back_latest

CHUNK_ROWS = 4_000
WORKERS = 2
ATTEMPTS = 4
CHUNK_TIMEOUT_SECONDS = 120

Row = Mapping[str, Any]


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


def load_history(
    *, access: Access, sales: Iterable[Row], progress: Callable[[int], None] | None = None
) -> LoadReport:
    """Load purchases with their returns, chunk by chunk, each in a transaction.

    A row has the fields of POST /purchases by their Python names, always with `customer_id`, `store_id` and
    `occurred_at`, and `returns`: rows as POST /purchases/{transactionId}/returns takes them, each with `store_id`,
    `amount` and `occurred_at`. Rows of one customer stand together; their order is free. A row whose transaction is on
    record is left out, so a load may be killed at any moment and run again. Events are recorded as history: nobody is
    notified. `progress` is called with the number of purchases and returns done since the last call. Memory is bounded
    by WORKERS chunks.

    Raises CustomerNotFound for a customer who is not there.
    """
    report = LoadReport()

    def done(size: int, loaded: LoadReport) -> None:
        report.add(loaded)
        if progress is not None:
            progress(size)

    if connection.in_atomic_block:
        # The caller's transaction is this thread's alone.
        for chunk in _chunks(sales):
            done(_size(chunk), _load_chunk(access, chunk))
        return report
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="load-history") as executor:
        running: dict[Future[LoadReport], int] = {}
        for chunk in _chunks(sales):
            while len(running) >= WORKERS:
                _collect(running, done)
            running[executor.submit(_load_in_thread, access, chunk)] = _size(chunk)
        while running:
            _collect(running, done)
    return report


def _collect(running: dict[Future[LoadReport], int], done: Callable[[int, LoadReport], None]) -> None:
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        done(running.pop(future), future.result())


def _load_in_thread(access: Access, chunk: list[list[Row]]) -> LoadReport:
    try:
        return _load_chunk(access, chunk)
    finally:
        connection.close()


def _chunks(sales: Iterable[Row]) -> Iterator[list[list[Row]]]:
    """Customers with all of their rows that stand together, until a chunk is full."""
    chunk: list[list[Row]] = []
    size = 0
    customer_id = None
    for sale in sales:
        if chunk and sale["customer_id"] == customer_id:
            chunk[-1].append(sale)
        else:
            if size >= CHUNK_ROWS:
                yield chunk
                chunk, size = [], 0
            chunk.append([sale])
            customer_id = sale["customer_id"]
        size += 1 + len(sale.get("returns") or ())
    if chunk:
        yield chunk


def _size(chunk: list[list[Row]]) -> int:
    return sum(1 + len(sale.get("returns") or ()) for sales in chunk for sale in sales)


def _load_chunk(access: Access, chunk: list[list[Row]]) -> LoadReport:
    """One transaction; tried again when a till got in between."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL statement_timeout = {CHUNK_TIMEOUT_SECONDS * 1000}")
                return _Chunk(access, chunk).load()
        except (IntegrityError, OperationalError):
            if attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            time.sleep(0.1 * attempt)
    raise AssertionError("the last attempt returns or raises")


@dataclass(slots=True)
class _Step:
    """One purchase or return of a customer, in the order of the fold."""

    order: tuple[datetime, int, str, uuid.UUID]
    purchase: NewPurchase
    back: NewReturn | None = None
    row: Row = field(default_factory=dict)


class _Chunk:
    """The work of one transaction: rows for COPY, table by table."""

    def __init__(self, access: Access, chunk: list[list[Row]]) -> None:
        self.access = access
        self.at = now()
        self.report = LoadReport()
        self.steps: dict[uuid.UUID, list[_Step]] = {}
        for sales in chunk:
            steps = self.steps.setdefault(sales[0]["customer_id"], [])
            for sale in sales:
                steps.extend(self._steps(sale))
        self.copies: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COPIED}

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
        slow: list[list[_Step]] = []
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

    # --- Rows -----------------------------------------------------------------------------------------------

    def _steps(self, sale: Row) -> Iterator[_Step]:
        purchase = self._purchase(sale)
        reference = (purchase.transaction_id, purchase.store_id)
        yield _Step((purchase.occurred_at, 0, *reference), purchase, row=sale)
        for row in sale.get("returns") or ():
            back = self._return(row, purchase)
            at = max(back.occurred_at, purchase.occurred_at)
            yield _Step((at, 1, back.transaction_id, back.store_id), purchase, back, row=row)

    def _purchase(self, sale: Row) -> NewPurchase:
        items = [
            Item(
                sku=item.get("sku") or "",
                name=item.get("name") or "",
                category=item.get("category") or "",
                quantity=Decimal(item["quantity"]).quantize(MILLI),
                unit_price=Decimal(item["unit_price"]).quantize(PRICE),
                tax=Decimal(item.get("tax") or ZERO).quantize(CENT),
            )
            for item in sale.get("items") or ()
        ]
        content: dict[str, Any] = {
            "amount": Decimal(sale["amount"]).quantize(CENT),
            "tax": Decimal(sale.get("tax") or ZERO).quantize(CENT),
            "discount": Decimal(sale.get("discount") or ZERO).quantize(CENT),
            "currency": self.access.currency,
            "payment_method": sale.get("payment_method") or "",
            "channel": sale.get("channel") or CHANNEL_DEFAULT,
            "occurred_at": sale["occurred_at"],
            "items": items,
        }
        return NewPurchase(
            id=new_id(),
            merchant_id=self.access.merchant_id,
            store_id=sale["store_id"],
            transaction_id=sale["transaction_id"],
            recorded_at=self.at,
            content_hash=purchase_hash(**content),
            **content,
        )

    def _return(self, row: Row, purchase: NewPurchase) -> NewReturn:
        items = [
            {"line": item["line"], "quantity": Decimal(item["quantity"]).quantize(MILLI)}
            for item in row.get("items") or ()
        ]
        amount = Decimal(row["amount"]).quantize(CENT)
        return NewReturn(
            id=new_id(),
            merchant_id=self.access.merchant_id,
            store_id=row["store_id"],
            purchase_id=purchase.id,
            transaction_id=row["transaction_id"],
            amount=amount,
            reason=row.get("reason") or "",
            occurred_at=row["occurred_at"],
            recorded_at=self.at,
            content_hash=return_hash(
                purchase_transaction_id=purchase.transaction_id,
                amount=amount,
                reason=row.get("reason") or "",
                occurred_at=row["occurred_at"],
                items=items,
            ),
            lines=[(item["line"], item["quantity"]) for item in items],
        )

    def _leave_out_known(self) -> None:
        """Drop the steps whose transactions are on record."""
        sales = self._on_record(
            "purchases", [s.purchase for steps in self.steps.values() for s in steps if not s.back]
        )
        backs = self._on_record(
            "purchase_returns", [s.back for steps in self.steps.values() for s in steps if s.back]
        )
        if not sales and not backs:
            return
        for customer_id, steps in self.steps.items():
            left = []
            for step in steps:
                subject = step.back or step.purchase
                stored = (backs if step.back else sales).get((subject.store_id, subject.transaction_id))
                if stored is None:
                    left.append(step)
                elif stored == subject.content_hash:
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

    def _is_latest(self, customer: Customer, account: Account | None, steps: Sequence[_Step]) -> bool:
        """Whether everything here comes after what is on record, and returns only what is here."""
        here = {step.purchase.id for step in steps if step.back is None}
        if any(step.back is not None and step.purchase.id not in here for step in steps):
            return False
        if customer.visit_count == 0:
            return True
        return (
            account is not None
            and not account.is_new
            and account.spend_cents == to_cents(customer.total_spent)
            and (account.last_activity_at is None or steps[0].order[0] > account.last_activity_at)
        )

    def _sell(self, customer: Customer, account: Account | None, steps: Sequence[_Step]) -> None:
        """What `record_sale` and `record_return` do, in memory."""
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
        cents = to_cents(purchase.amount)
        sale = Sale(purchase.id, cents, purchase.occurred_at, (purchase.transaction_id, purchase.store_id))
        posting: Posting | None = None
        if account is not None:
            posting = accrue(
                account=account, customer=customer, sale=sale, actor_id=self.access.user_id, latest=True
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
                orjson.dumps(outcome).decode(),
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
                orjson.dumps(outcome).decode(),
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
        """Events as history: stamped as dispatched, so nobody is told of sales of years ago."""
        for type, data, at in [first, *(account.tell() if account is not None else ())]:
            self.copies["customer_events"].append(
                (
                    new_id(), self.access.merchant_id, customer.pk, store_id, type, orjson.dumps(data).decode(), "",
                    self.access.user_id, "", at, self.at, self.at,
                )
            )  # fmt: skip

    # --- Writing ----------------------------------------------------------------------------------------------

    def _write(self, touched: Sequence[tuple[Customer, Account | None]]) -> None:
        for customer, account in touched:
            if account is None:
                continue
            customer.points, customer.tier = account.balance, account.tier
            if not account.is_new:
                # Already there: its lots may be used up by returns, its row is updated.
                account.write()
                continue
            for table, rows in account.new_rows().items():
                self.copies[table].extend(rows)
            self.copies["loyalty_enrollments"].append(account.enrollment_values())
        for table, rows in self.copies.items():
            if rows:
                _copy(table, _COPIED[table], rows)
        write_standings(customers=[customer for customer, _ in touched])

    def _send_one_by_one(self, steps: Sequence[_Step]) -> None:
        """As a till would have, in the same transaction; these are news, and events say so."""
        for step in steps:
            store = replace(self.access, store_id=(step.back or step.purchase).store_id)
            if step.back is None:
                record_sale(access=store, sale=_as_sent(step), at=self.at)
                self.report.purchases += 1
            else:
                record_return(
                    access=store,
                    purchase_transaction_id=step.purchase.transaction_id,
                    back=_return_as_sent(step),
                    at=self.at,
                )
                self.report.returns += 1


def _as_sent(step: _Step) -> dict[str, Any]:
    purchase = step.purchase
    return {
        "customer_id": step.row["customer_id"],
        "transaction_id": purchase.transaction_id,
        "amount": purchase.amount,
        "tax": purchase.tax,
        "discount": purchase.discount,
        "currency": purchase.currency,
        "payment_method": purchase.payment_method,
        "channel": purchase.channel,
        "occurred_at": purchase.occurred_at,
        "items": [
            {
                "sku": item.sku,
                "name": item.name,
                "category": item.category,
                "quantity": item.quantity,
                "unit_price": item.unit_price,
                "tax": item.tax,
            }
            for item in purchase.items
        ],
    }


def _return_as_sent(step: _Step) -> dict[str, Any]:
    assert step.back is not None
    return {
        "transaction_id": step.back.transaction_id,
        "purchase_store_id": step.purchase.store_id,
        "amount": step.back.amount,
        "reason": step.back.reason,
        "occurred_at": step.back.occurred_at,
        "items": [{"line": line, "quantity": quantity} for line, quantity in step.back.lines],
    }


_COPIED: dict[str, tuple[str, ...]] = {
    "purchases": (
        "id", "merchant_id", "customer_id", "store_id", "transaction_id", "amount", "tax", "discount", "currency",
        "payment_method", "channel", "occurred_at", "recorded_at", "content_hash", "receipt",
    ),
    "purchase_items": (
        "id", "merchant_id", "purchase_id", "line", "sku", "name", "category", "quantity", "unit_price", "tax",
    ),
    "purchase_returns": (
        "id", "merchant_id", "customer_id", "store_id", "purchase_id", "transaction_id", "amount", "reason",
        "occurred_at", "recorded_at", "content_hash", "receipt",
    ),
    "purchase_return_items": ("id", "merchant_id", "purchase_return_id", "line", "quantity"),
    **COLUMNS,
    "customer_events": (
        "id", "merchant_id", "customer_id", "store_id", "type", "data", "external_id", "actor_id", "request_id",
        "occurred_at", "recorded_at", "dispatched_at",
    ),
}  # fmt: skip


def _copy(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
