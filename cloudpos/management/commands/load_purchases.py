"""`manage.py load_purchases FILE --merchant SLUG`: a history of sales straight into the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cloudpos.checkout.bulk.messages import load_messages
from cloudpos.progress import bars_on
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.merchant_option import merchant_of
from cloudpos.tenancy.models import Membership, Role, Store
from cloudpos.tills import read_history


class Command(BaseCommand):
    help = (
        "Loads the purchases and returns of FILE: JSON lines (.gz or plain) in the words of POST /purchases, each with the "
        "store's code, as for replay_purchases, and in the same order of time. Ends where tills would have ended that "
        "sent them one by one, much sooner, and without telling webhooks about the past. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--merchant", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        access = _access(options["merchant"])
        try:
            with bars_on(self.stdout) as progress:
                bar = progress.add_task(
                    "Purchases and returns", total=sum(1 for _ in read_history(options["file"]))
                )
                report = load_messages(
                    access=access,
                    messages=read_history(options["file"]),
                    progress=lambda n: progress.advance(bar, n),
                )
        except (OSError, ValueError) as exc:
            raise CommandError(str(exc)) from None
        loaded = report.loaded
        progress.console.print(
            f"{loaded.purchases:,} purchases and {loaded.returns:,} returns are new, {loaded.repeated:,} were known, "
            f"{loaded.conflicting:,} are on record with other content, {report.refused:,} are refused."
        )
        for number, problem in report.refusals:
            fields = ", ".join(f"{error.field}: {error.message}" for error in problem.errors if error.field)
            self.stderr.write(f"message {number}: {fields or problem.message}")
        if report.refused or loaded.conflicting:
            raise CommandError("not everything was loaded")


def _access(slug: str) -> Access:
    merchant = merchant_of(slug)
    store = Store.objects.for_merchant(merchant).order_by("code").first()
    machine = (
        Membership.objects.for_merchant(merchant)
        .filter(role__in=[Role.SERVICE, Role.OWNER], store=None, user__is_active=True)
        .order_by("-role")
        .first()
    )
    if store is None or machine is None:
        raise CommandError(
            f"{merchant.name} needs a store, and a user with the role 'service' or 'owner' to load as"
        )
    return Access(
        user_id=machine.user_id,
        merchant_id=merchant.pk,
        store_id=store.pk,
        role=machine.role,
        timezone=merchant.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )
