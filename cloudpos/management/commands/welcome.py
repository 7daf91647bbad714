"""`manage.py welcome`: where everything is, and a first request with a fresh token."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from cloudpos import demonstration
from cloudpos.tenancy.models import Membership, Store, User
from cloudpos.tenancy.tokens import mint_access_token


class Command(BaseCommand):
    help = (
        "Prints the addresses of the admin and the API docs, a login, and a curl line that works when pasted."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        url = settings.PUBLIC_URL
        owner = User.objects.filter(email=demonstration.OWNER_EMAIL, is_active=True).first()
        login = f"log in as a user of yours; {manage('createsuperuser')} makes one"
        if owner is not None:
            login = f"log in as {owner.email} with {demonstration.PASSWORD}"
        lines = [
            "",
            f"  Admin       {url}/admin/    {login}",
            f"  API docs    {url}/api/docs",
            f"  Health      {url}/health",
        ]
        if owner is not None and (store := self._store_of(owner)) is not None:
            lines += [
                "",
                f"  A first request; its token is good for {settings.ACCESS_TOKEN_MINUTES} minutes. For a new one:",
                f"  {manage('welcome')}",
                "",
                f"  curl -s '{url}/api/v1/customers?limit=3' \\",
                f"    -H 'x-store-id: {store.pk}' \\",
                f"    -H 'Authorization: Bearer {mint_access_token(user_id=owner.pk)}'",
            ]
        self.stdout.write("\n".join([*lines, ""]))

    def _store_of(self, user: User) -> Store | None:
        membership = Membership.objects.filter(user=user).order_by("created_at").first()
        if membership is None:
            return None
        stores = Store.objects.filter(merchant_id=membership.merchant_id)
        return (
            (stores.filter(pk=membership.store_id) if membership.store_id else stores)
            .order_by("name")
            .first()
        )


# What a person gave `script/server` for this installation, and must give to its commands too.
GIVEN = ("DATA_DIR", "PORT")


def manage(command: str) -> str:
    """The shell's line that runs a command of ours here: with this Python, on this installation."""
    python, script = Path(sys.executable), settings.BASE_DIR / "manage.py"
    if Path.cwd() == settings.BASE_DIR:
        script = Path("manage.py")
        python = python.relative_to(settings.BASE_DIR) if python.is_relative_to(settings.BASE_DIR) else python
    given = [f"{name}={shlex.quote(os.environ[name])}" for name in GIVEN if os.environ.get(name)]
    return " ".join([*given, shlex.quote(str(python)), shlex.quote(str(script)), command])
