"""`reconcile SLUG ID [--minutes N]` reads a provider's journal and takes in what was missed."""

from django.core.management.base import BaseCommand, CommandError

from messaging import reconciling
from messaging.providers.base import SendError
from tenants import context, directory
from tenants.models import ProviderInstance


class Command(BaseCommand):
    help = "Reads an instance's journal at its provider and takes in what was missed."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("instance", type=int, help="the number that connect_instance printed")
        parser.add_argument(
            "--minutes", type=int, help="how far back; without it, since it was last read"
        )

    def handle(self, slug, instance, minutes, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        found = ProviderInstance.objects.of(tenant).filter(pk=instance).first()
        if found is None:
            raise CommandError(f"instance: {slug} has no instance {instance}.")
        if not reconciling.keeps_journal(found.provider):
            raise CommandError(f"{found.provider} keeps nothing that could be read again.")
        if minutes is not None and not 1 <= minutes <= reconciling.LONGEST_MINUTES:
            raise CommandError(f"minutes: give 1 to {reconciling.LONGEST_MINUTES}.")
        with context.entered(tenant):
            try:
                missed = reconciling.reconcile(instance, minutes)
            except SendError as exc:
                raise CommandError(f"{found.provider} could not be asked: {exc}") from exc
        self.stdout.write(f"missed: {missed}")
