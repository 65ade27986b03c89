"""`check_schemas` makes sure that no tenant's query can end up in `public`."""

from django.core.management.base import BaseCommand, CommandError

from tenants import schema


class Command(BaseCommand):
    help = "Verifies that every tenant's schema holds every table it must have."

    def handle(self, **options):
        try:
            schema.require_whole()
        except schema.Incomplete as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write("Every schema is whole.")
