"""`connect_instance SLUG PROVIDER --phone +… [--set key=value …]` connects a vendor's number."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from messaging import connecting, risks
from tenants import audit, directory
from tenants.onboarding import OnboardingError


class Command(BaseCommand):
    help = "Connects a vendor's number or address at a provider; a second call updates it."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("provider", help="the provider, such as wasender")
        parser.add_argument(
            "--phone",
            "--address",
            dest="address",
            default="",
            help="the number as +33612345678, or the e-mail address",
        )
        parser.add_argument(
            "--set", action="append", default=[], dest="values", metavar="KEY=VALUE", nargs="+"
        )
        parser.add_argument("--label", default="", help="what the team calls it")

    def handle(self, slug, provider, address, values, label, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        try:
            with translation.override("en"), audit.coming_from("connect_instance"):
                instance = connecting.connect_instance(
                    tenant, provider, address=address, values=pairs_of(values), label=label
                )
        except OnboardingError as exc:
            raise CommandError(f"{exc.field}: {exc.message}") from exc
        self.stdout.write(f"instance: {instance.pk}")
        for route, url in connecting.webhook_urls(instance).items():
            self.stdout.write(f"webhook{f' ({route})' if route else ''}: {url}")
        say_state(self, connecting.probe(instance))


def say_state(command, instance):
    """How it is, and what it risks.

    The instance is made in any case: what is wrong outside may be put right there.
    """
    reason = f" ({instance.state_reason})" if instance.state_reason else ""
    command.stdout.write(f"state: {instance.state}{reason}")
    with translation.override("en"):
        risk = risks.to_confirm(instance)
    if risk:
        # Not among what programs read.
        command.stderr.write(f"risk: {risk}")
        command.stderr.write("The vendor's owner is asked to confirm this on the page Numbers.")


def pairs_of(groups):
    """What `--set` says, by key."""
    pairs = {}
    for text in (text for group in groups for text in group):
        key, sign, value = text.partition("=")
        if not key or not sign:
            # The text itself may be a secret, so it is not repeated.
            raise CommandError("set: write it as KEY=VALUE.")
        pairs[key.strip()] = value
    return pairs
