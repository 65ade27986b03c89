"""`generate_secrets` prints the two secrets an installation needs."""

import secrets

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Prints new SECRET_KEY and FIELD_KEYS lines for the environment; keeps nothing."
    requires_system_checks: list[str] = []

    def handle(self, **options):
        self.stdout.write(f"SECRET_KEY={secrets.token_urlsafe(50)}")
        self.stdout.write(f"FIELD_KEYS={Fernet.generate_key().decode()}")
