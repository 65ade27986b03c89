"""`import_history SLUG FILE` takes in what was said elsewhere; see docs/importing.md."""

from django.core.management.base import CommandError
from django.utils import timezone

from messaging.importing import history
from messaging.management.importing import ImportCommand
from tenants.models import ProviderInstance


class Command(ImportCommand):
    help = "Takes messages in from a file, with whom and when; opens no alert and tells nobody."
    columns = history.COLUMNS
    act = "history.imported"
    name = "import_history"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "--number", type=int, help="id of the instance that rows mean which name none"
        )

    def importer(self, tenant, options):
        number = None
        if options["number"] is not None:
            number = ProviderInstance.objects.of(tenant).filter(pk=options["number"]).first()
            if number is None:
                raise CommandError(f"number: {tenant.slug} has no instance {options['number']}.")
        return history.Importer(tenant, timezone.now(), number=number, dry_run=options["dry_run"])
