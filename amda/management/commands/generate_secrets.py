"""`generate_secrets` prints the secrets an installation needs."""

import secrets

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Prints new secrets as lines for the environment; keeps nothing."
    requires_system_checks: list[str] = []

    def handle(self, **options):
        password = secrets.token_urlsafe(32)
        self.stdout.write(f"SECRET_KEY={secrets.token_urlsafe(50)}")
        self.stdout.write(f"FIELD_KEYS={Fernet.generate_key().decode()}")
        self.stdout.write("# Only with compose.yaml, for the PostgreSQL it starts:")
        self.stdout.write(f"POSTGRES_PASSWORD={password}")
        self.stdout.write(f"DATABASE_URL=postgres://amda:{password}@database:5432/amda")
