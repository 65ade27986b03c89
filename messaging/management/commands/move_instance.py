"""`move_instance SLUG ID PROVIDER [--set key=value …]` moves a number to another provider."""

import sys

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone, translation

from messaging import connecting, moving, setting_webhooks
from messaging.management.commands.connect_instance import pairs_of, say_state
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, SendError
from tenants import audit, directory
from tenants.limits import LimitReached
from tenants.models import ProviderInstance
from tenants.onboarding import OnboardingError


class Command(BaseCommand):
    help = "Moves a vendor's number to another provider; its conversations go along."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("instance", type=int, help="the instance's id; `whose` tells it")
        parser.add_argument("provider", help="the new provider, such as whatsapp_cloud")
        parser.add_argument(
            "--set", action="append", default=[], dest="values", metavar="KEY=VALUE", nargs="+"
        )
        parser.add_argument("--address", default="", help="where it is another number or address")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--yes", action="store_true", help="do not ask before writing")

    def handle(self, slug, instance, provider, values, address, dry_run, yes, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        mine = ProviderInstance.objects.of(tenant).select_related("tenant")
        old = mine.filter(pk=instance).first()
        if old is None:
            raise CommandError(f"instance: {slug} has no instance {instance}.")
        wanted = {"address": address or old.address, "values": pairs_of(values)}
        with translation.override("en"), audit.coming_from("move_instance"):
            try:
                self._say(old, provider, moving.plan(old, provider, **wanted))
                if dry_run:
                    self.stdout.write("dry run, nothing written")
                    return
                if not yes and not _is_agreed():
                    raise CommandError("nothing was moved.")
                new = moving.move(old, provider, **wanted, now=timezone.now())
            except OnboardingError as refusal:
                raise CommandError(f"{refusal.field}: {refusal.message}") from refusal
            except LimitReached as refusal:
                raise CommandError(str(refusal.message)) from refusal
            except moving.NotMoved as refusal:
                raise CommandError(f"instance: {refusal}") from refusal
            self.stdout.write(f"instance: {new.pk}")
            say_state(self, connecting.probe(new))
            self._say_webhook(new)

    def _say(self, old: ProviderInstance, provider: str, plan: moving.Plan) -> None:
        groups = f" ({plan.groups} of groups)" if plan.groups else ""
        self.stdout.write(f"{old} → {provider}: {plan.conversations} conversations{groups}")
        if plan.waiting:
            self.stdout.write(f"{plan.waiting} messages wait and will leave by {provider}")
        self.stdout.write(
            f"instance {old.pk} sends no more and takes late posts for"
            f" {moving.LATE_POSTS_DAYS} days"
        )

    def _say_webhook(self, new: ProviderInstance) -> None:
        """Set where the provider lets us, and read back; else what to paste."""
        if Feature.SETS_WEBHOOK in provider_of(new.provider).supports:
            try:
                setting_webhooks.set_up(new, by_platform=True)
                self.stdout.write(f"webhook: {connecting.webhook_url(new)} (set, and read back)")
                return
            except SendError as error:
                self.stdout.write(f"webhook: could not be set ({error}); give it to the provider:")
        for route, url in connecting.webhook_urls(new).items():
            self.stdout.write(f"webhook{f' ({route})' if route else ''}: {url}")


def _is_agreed() -> bool:
    if sys.stdin.closed or not sys.stdin.isatty():
        raise CommandError("there is nobody to ask; say --yes.")
    return input("Move it? [y/N] ").strip().lower() in ("y", "yes", "o", "oui")
