"""`manage.py seed SLUG`: fill a tenant with invented conversations, to measure on."""

import random
import time

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from messaging import seeding
from tenants import context, directory
from tenants.models import ProviderInstance


class Command(BaseCommand):
    help = (
        "Fills a tenant with invented leads, conversations and messages. It is for measuring: "
        "use it on a tenant made for that, and delete the tenant afterwards."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("slug", help="the tenant's slug; it needs a connected number")
        parser.add_argument("--conversations", type=int, default=40_000)
        parser.add_argument("--messages", type=int, default=1_000_000)
        parser.add_argument("--chance", type=int, default=1, help="the same number, the same texts")

    def handle(self, *args, slug: str, conversations: int, messages: int, chance: int, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"No tenant has the slug {slug}.")
        if not 1 <= conversations <= messages:
            raise CommandError("Ask for at least one conversation, and a message for each.")
        instance = ProviderInstance.objects.of(tenant).order_by("pk").first()
        if instance is None:
            raise CommandError(f"{slug} has no number: connect one with connect_instance.")
        self._began = time.monotonic()
        with context.entered(tenant):
            seeding.seed(
                instance,
                conversations=conversations,
                messages=messages,
                now=timezone.now(),
                report=self._report,
                chance=random.Random(chance),  # noqa: S311  nothing is kept secret with it
            )

    def _report(self, text: str) -> None:
        self.stdout.write(f"{time.monotonic() - self._began:6.1f} s  {text}")
        self.stdout.flush()
