"""`create_tenant SLUG --name … --owner-email … --owner-password …` makes a vendor."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from tenants import audit, onboarding


class Command(BaseCommand):
    help = "Makes a vendor: its row, its schema and its owner."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor id, such as vendor_001")
        parser.add_argument("--name", required=True)
        parser.add_argument("--owner-email", required=True)
        parser.add_argument("--owner-password", required=True)
        parser.add_argument("--country", default="", help="two letters, such as FR")
        parser.add_argument("--time-zone", default="", help="such as Europe/Paris")
        parser.add_argument("--language", default="", help="fr or en")

    def handle(self, slug, **options):
        facts = ("name", "owner_email", "owner_password", "country", "time_zone", "language")
        try:
            with translation.override("en"), audit.coming_from("create_tenant"):
                tenant = onboarding.create_tenant(slug, **{fact: options[fact] for fact in facts})
        except onboarding.OnboardingError as exc:
            raise CommandError(f"{exc.field}: {exc.message}") from exc
        self.stdout.write(f"tenant: {tenant.number}")
        self.stdout.write(f"slug: {tenant.slug}")
        self.stdout.write(f"url: {onboarding.home_url(tenant)}/")
