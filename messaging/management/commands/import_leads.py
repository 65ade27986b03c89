"""`import_leads SLUG FILE` takes leads in from a CSV file or JSON lines; see docs/importing.md."""

from django.utils import timezone

from messaging.importing import leads
from messaging.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Takes leads in from a file; what is there already is completed, never replaced."
    columns = leads.COLUMNS
    act = "leads.imported"
    name = "import_leads"

    def importer(self, tenant, options):
        return leads.Importer(tenant, timezone.now(), dry_run=options["dry_run"])
