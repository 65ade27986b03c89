"""`manage.py replay_webhooks SLUG`: read kept deliveries again."""

from django.core.management.base import BaseCommand, CommandError

from messaging import inbox
from tenants import directory
from tenants.models import WebhookDelivery


class Command(BaseCommand):
    help = "Puts a tenant's failed or unreadable deliveries back into its inbox."

    def add_arguments(self, parser) -> None:
        parser.add_argument("slug", help="the tenant's slug")
        parser.add_argument("--id", type=int, action="append", help="only this delivery")
        parser.add_argument(
            "--all",
            action="store_true",
            help="also those that were taken in well: told twice, kept once",
        )

    def handle(self, *args, slug: str, **options) -> None:
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"No tenant has the slug {slug}.")
        deliveries = WebhookDelivery.objects.of(tenant)
        if options["id"]:
            deliveries = deliveries.filter(pk__in=options["id"])
        elif not options["all"]:
            states = (WebhookDelivery.State.FAILED, WebhookDelivery.State.UNREADABLE)
            deliveries = deliveries.filter(state__in=states)
        self.stdout.write(f"{inbox.replay(deliveries)} deliveries will be read again.")
