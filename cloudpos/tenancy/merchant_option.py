"""`--merchant SLUG` of commands: whom they are for."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from cloudpos.tenancy.models import Merchant


def add_merchant_option(parser: ArgumentParser) -> None:
    parser.add_argument("--merchant", metavar="SLUG", help="only this merchant; all of them if not given")


def merchant_of(slug: str) -> Merchant:
    """Raises CommandError when there is none."""
    merchant = Merchant.objects.filter(slug=slug).first()
    if merchant is None:
        raise CommandError(f"there is no merchant {slug!r}")
    return merchant


def merchants_of(slug: str | None) -> list[Merchant]:
    """The one, or all that are active. Raises CommandError when there is none of that name."""
    if slug:
        return [merchant_of(slug)]
    return list(Merchant.objects.filter(is_active=True).order_by("pk"))
