"""`manage.py dbshell`: psql on the service's database, also where no psql is installed."""

import os
import shutil
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import dbshell


class Command(dbshell.Command):
    def handle(self, **options: Any) -> None:
        if shutil.which("psql") is None:
            # The embedded PostgreSQL brings one along; an installation without it has not even its module's imports.
            try:
                from cloudpos import embedded

                folder = embedded.postgres_programs()
            except (ImportError, RuntimeError):
                raise CommandError("There is no psql here: install PostgreSQL's client") from None
            os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(folder)])
        super().handle(**options)
