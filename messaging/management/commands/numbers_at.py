"""`numbers_at SLUG PROVIDER` lists what an account has; `--take` and `--make` bring it here."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from messaging import adopting, connecting, making_instances, setting_webhooks
from messaging.adopting import Account, Adopted
from messaging.management.commands.connect_instance import say_state
from messaging.providers.base import SendError
from messaging.refusing import Refused
from tenants import audit, directory
from tenants.limits import LimitReached
from tenants.models import Tenant
from tenants.onboarding import OnboardingError


class Command(BaseCommand):
    help = "Lists what an account at a provider has, takes a number over, or makes one there."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("provider", help="the provider, such as wasender")
        parser.add_argument(
            "--account",
            default="",
            help="whose token opens it: platform, or the id of an instance of the vendor",
        )
        act = parser.add_mutually_exclusive_group()
        act.add_argument("--take", metavar="ID", help="take over the number with this id there")
        act.add_argument("--make", metavar="NUMBER", help="have this number made there")
        parser.add_argument("--label", default="", help="what the team calls it")

    def handle(self, slug, provider, account, take, make, label, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        with translation.override("en"), audit.coming_from("numbers_at"):
            try:
                self._do(tenant, _account(tenant, provider, account), take, make, label)
            except OnboardingError as exc:
                raise CommandError(f"{exc.field}: {exc.message}") from exc
            except (Refused, LimitReached) as exc:
                raise CommandError(str(exc.message)) from exc
            except making_instances.Exists as exc:
                there = f"the account has it already: --take {exc.seen.found.reference}"
                raise CommandError(f"phone: {there}") from exc

    def _do(self, tenant: Tenant, account: Account, take: str, make: str, label: str) -> None:
        if take:
            taken = adopting.adopt(tenant, account, take, address="", label=label, by=None)
            return self._say_taken(taken)
        if make:
            name = label or tenant.name[: making_instances.LONGEST_NAME]
            made = making_instances.make(tenant, account, name=name, address=make, by=None)
            return self._say_taken(made)
        for each in adopting.listed(account):
            state = each.found.state.state.value if each.found.state else "-"
            holder = each.holder.tenant.slug if each.holder else "-"
            facts = (each.found.reference, each.address or "-", state, holder, each.found.name)
            self.stdout.write("\t".join(facts))
        return None

    def _say_taken(self, adopted: Adopted) -> None:
        instance = adopted.instance
        self.stdout.write(f"instance: {instance.pk}")
        self.stdout.write(f"webhook: {connecting.webhook_url(instance)}")
        for label in adopted.lacking:
            self.stderr.write(f"the account does not show: {label}")
        try:
            setting_webhooks.set_up(instance, by_platform=True)
        except SendError as error:
            self.stderr.write(f"the webhook could not be set: {error.code}")
        say_state(self, connecting.probe(instance))


def _account(tenant: Tenant, provider: str, source: str) -> Account:
    found = [each for each in adopting.accounts(tenant, {}) if each.adapter.slug == provider]
    if not found:
        raise CommandError(f"account: no token for {provider} is known here.")
    return adopting.choose(found, f"{provider}:{source}" if source else "")
