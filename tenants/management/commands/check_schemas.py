"""`check_schemas` makes sure that no tenant's query can end up in `public`."""

from django.core.management.base import BaseCommand, CommandError

from tenants import schema
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Verifies that every tenant's schema holds every table it must have."

    def handle(self, **options):
        broken = 0
        for tenant in Tenant.objects.order_by("number").iterator():
            missing = schema.missing_tables(tenant.schema_name)
            if missing:
                broken += 1
                self.stderr.write(f"{tenant.slug} ({tenant.schema_name}): {', '.join(missing)}")
        if broken:
            raise CommandError(
                f"{broken} schemas lack tables, which would be looked for in public:"
                " run migrate_schemas."
            )
        self.stdout.write("Every schema is whole.")
