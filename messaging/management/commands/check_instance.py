"""`check_instance SLUG ID [--to ADDRESS]` says whether an instance works, and what to do."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from messaging import checking
from tenants import context, directory
from tenants.models import ProviderInstance

WORDS = {True: "PASS", False: "FAIL", None: "    "}


class Command(BaseCommand):
    help = "Checks an instance: reachable, sends, its posts arrive and become facts."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("instance", type=int, help="the number that connect_instance printed")
        parser.add_argument("--to", default="", help="send a real message to this address")
        parser.add_argument(
            "--patience",
            type=float,
            default=checking.PATIENCE_SECONDS,
            help="how many seconds to wait for each step",
        )

    def handle(self, slug, instance, to, patience, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        found = ProviderInstance.objects.of(tenant).filter(pk=instance).first()
        if found is None:
            raise CommandError(f"instance: {slug} has no instance {instance}.")
        failed = 0
        with context.entered(tenant), translation.override("en"):
            for finding in checking.check(found, to=to, patience=patience):
                failed += finding.passed is False
                self.stdout.write(f"{WORDS[finding.passed]} {finding.step}: {finding.said}")
                if finding.advice:
                    self.stdout.write(f"     {finding.advice}")
        if failed:
            raise CommandError("This instance does not work yet.")
        self.stdout.write("PASS")
