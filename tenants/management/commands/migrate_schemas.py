"""`migrate_schemas`: django-tenants' command, and a look at the result."""

from django.core.management.base import CommandError
from django_tenants.management.commands.migrate_schemas import MigrateSchemasCommand

from tenants import schema


class Command(MigrateSchemasCommand):
    """Migrates `public` and every tenant; afterwards no tenant may lack a table."""

    def handle(self, *args, **options):
        super().handle(*args, **options)
        if options["plan"] or options["check_unapplied"] or options["shared"]:
            return
        try:
            schema.require_whole()
        except schema.Incomplete as exc:
            raise CommandError(str(exc)) from exc
