"""`manage.py reencrypt_secrets`: the second step of rotating ENCRYPTION_SECRETS."""

from typing import Any

from django.core.management.base import BaseCommand

from marketing.webhooks.services import reencrypt_secrets


class Command(BaseCommand):
    help = "Encrypts every stored secret with the first of ENCRYPTION_SECRETS. Afterwards the others can be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{reencrypt_secrets()} secrets are encrypted with the first of ENCRYPTION_SECRETS")
