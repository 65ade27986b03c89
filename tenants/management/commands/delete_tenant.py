"""`delete_tenant SLUG` removes a vendor and everything of it, for good."""

from django.core.management.base import BaseCommand, CommandError

from tenants import audit, onboarding
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Removes a vendor with its schema, instances, deliveries, jobs and files, for good."

    def add_arguments(self, parser):
        parser.add_argument("slug")
        parser.add_argument("--confirm", metavar="SLUG", help="the slug again, instead of asking")

    def handle(self, slug, confirm=None, **options):
        tenant = Tenant.objects.filter(slug__iexact=slug).first()
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        if (confirm or self._ask(tenant)) != tenant.slug:
            raise CommandError(f"Nothing was deleted: the slug is {tenant.slug}.")
        try:
            with audit.coming_from("delete_tenant"):
                onboarding.delete_tenant(tenant)
        except onboarding.NotFullyDeleted as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(f"deleted: {tenant.slug} (number {tenant.number})")

    def _ask(self, tenant):
        self.stdout.write(f"This deletes {tenant.name} and all its data for good.")
        try:
            return input(f"Type {tenant.slug} to go on: ").strip()
        except EOFError as exc:
            raise CommandError("Nothing was deleted: give --confirm SLUG.") from exc
