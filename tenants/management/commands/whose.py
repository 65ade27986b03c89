"""`whose NUMBER-OR-INSTANCE` says which vendor a number, reference or instance id is."""

from django.core.management.base import BaseCommand, CommandError

from tenants import directory


class Command(BaseCommand):
    help = "Says whose number, address, provider reference or instance id this is."

    def add_arguments(self, parser):
        parser.add_argument("asked", metavar="NUMBER-OR-INSTANCE")

    def handle(self, asked, **options):
        found = directory.whose(asked)
        if not found:
            raise CommandError(f"{asked} is nobody's number, address, reference or instance.")
        for instance in found:
            self._describe(instance)

    def _describe(self, instance):
        tenant = instance.tenant
        self.stdout.write(f"instance: {instance.pk}")
        self.stdout.write(f"provider: {instance.provider}")
        self.stdout.write(f"address: {instance.address}")
        self.stdout.write(f"state: {instance.state}")
        self.stdout.write(f"vendor: {tenant.slug} ({tenant.name}, number {tenant.number})")
