"""`import_env SLUG FILE` connects what an old `.env` describes, and says what to delete from it."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation
from dotenv import dotenv_values

from messaging import connecting, risks
from messaging.espo import linking
from messaging.migrating import old_settings
from messaging.migrating.old_settings import ADDRESS, Described
from tenants import audit, context, directory
from tenants.limits import LimitReached
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError


class Command(BaseCommand):
    help = "Connects the numbers and addresses, and links the EspoCRM, that an old .env describes."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("file", type=Path, help="the old .env")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            dest="more",
            metavar="PROVIDER.KEY=VALUE",
            help="what the file lacks, such as greenapi.address=+33612345678",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")

    def handle(self, slug, file, more, dry_run, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        variables = _read(file)
        described = [*old_settings.instances(variables), old_settings.crm(variables)]
        found = [_with(each, _pairs(more)) for each in described if each is not None]
        if not found:
            raise CommandError("file: it describes no provider that is known here.")
        with translation.override("en"), audit.coming_from("import_env"):
            failed = [each for each in found if not self._take_over(tenant, each, dry_run)]
        self._say_what_goes(variables, [each for each in found if each not in failed], dry_run)
        if failed:
            raise CommandError(f"{len(failed)} of {len(found)} could not be connected.")

    def _take_over(self, tenant: Tenant, wanted: Described, dry_run: bool) -> bool:
        act = self._link if wanted.provider == old_settings.CRM else self._connect
        return act(tenant, wanted, dry_run)

    def _link(self, tenant: Tenant, wanted: Described, dry_run: bool) -> bool:
        url, key = wanted.values["url"], wanted.values.get("api_key", "")
        try:
            shown = linking.checked_url(url)
            if not dry_run:
                with context.entered(tenant):
                    linking.link(url, key, by=None)
        except linking.WrongLink as wrong:
            name = wanted.names.get(wrong.field, f"--set {wanted.provider}.{wrong.field}=…")
            self.stdout.write(f"{wanted.provider}: {name}: {wrong.message}")
            return False
        said = "would be linked" if dry_run else "linked; its leads are being read"
        self.stdout.write(f"{wanted.provider}: {shown} {said}")
        return True

    def _connect(self, tenant: Tenant, wanted: Described, dry_run: bool) -> bool:
        facts = {"address": wanted.address, "values": wanted.values}
        try:
            connecting.require_possible(wanted.provider, **facts)
            if dry_run:
                self.stdout.write(f"{wanted.provider}: {wanted.address} would be connected")
                return True
            before = ProviderInstance.objects.of(tenant).count()
            instance = connecting.connect_instance(tenant, wanted.provider, **facts)
        except OnboardingError as refusal:
            self.stdout.write(f"{wanted.provider}: {_blamed(refusal, wanted)}: {refusal.message}")
            return False
        except LimitReached as refusal:
            self.stdout.write(f"{wanted.provider}: {refusal}")
            return False
        is_new = ProviderInstance.objects.of(tenant).count() > before
        said = "connected" if is_new else "brought up to date"
        self.stdout.write(f"{wanted.provider}: {instance.address} {said}, instance {instance.pk}")
        for route, url in connecting.webhook_urls(instance).items():
            self.stdout.write(f"  webhook{f' ({route})' if route else ''}: {url}")
        if risk := risks.to_confirm(instance):
            self.stderr.write(f"  risk: {risk} Its owner is asked to confirm this.")
        return True

    def _say_what_goes(self, variables, connected: list[Described], dry_run: bool) -> None:
        kept = sorted({name for each in connected for name in each.names.values()})
        if not kept:
            return
        stay = sorted(set(variables) - set(kept))
        verb = "could be deleted" if dry_run else "delete"
        self.stdout.write(f"Kept encrypted here; {verb} from the file: {', '.join(kept)}")
        if stay:
            self.stdout.write(f"Not read; docs/settings.md says what became of: {', '.join(stay)}")


def _read(file: Path) -> dict[str, str | None]:
    try:
        with file.open(encoding="utf-8-sig") as content:
            return dotenv_values(stream=content, interpolate=False)
    except OSError as exc:
        raise CommandError(f"file: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise CommandError("file: this is not UTF-8.") from exc


def _pairs(more: list[str]) -> dict[tuple[str, str], str]:
    pairs = {}
    for text in more:
        name, sign, value = text.partition("=")
        provider, dot, key = name.partition(".")
        known = {*old_settings.VARIABLES, old_settings.CRM}
        if not sign or not dot or provider not in known:
            # The text itself may be a secret, so it is not repeated.
            raise CommandError("set: write it as PROVIDER.KEY=VALUE, such as twilio.address=+336…")
        pairs[provider, key] = value
    return pairs


def _with(found: Described, more: dict[tuple[str, str], str]) -> Described:
    mine = {key: value for (provider, key), value in more.items() if provider == found.provider}
    address = mine.pop(ADDRESS, found.address)
    return Described(found.provider, address, {**found.values, **mine}, found.names)


def _blamed(refusal: OnboardingError, wanted: Described) -> str:
    """The variable to blame, or how to say what the file lacks."""
    name = ADDRESS if refusal.field in ("phone", "address") else refusal.field
    return wanted.names.get(name, f"--set {wanted.provider}.{name}=…")
