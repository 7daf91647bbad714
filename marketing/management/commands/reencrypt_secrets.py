"""`manage.py reencrypt_secrets`: the second step of rotating ENCRYPTION_SECRETS."""

from typing import Any

from django.core.management.base import BaseCommand

from marketing.channels.settings import reencrypt_messaging_secrets
from marketing.webhooks.services import reencrypt_secrets


class Command(BaseCommand):
    help = "Encrypts every stored secret with the first of ENCRYPTION_SECRETS. Afterwards the others can be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        count = reencrypt_secrets() + reencrypt_messaging_secrets()
        self.stdout.write(f"{count} secrets are encrypted with the first of ENCRYPTION_SECRETS")
