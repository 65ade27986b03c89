"""`sync_billing` looks at Stripe and writes down what was not here as it is there."""

from django.core.management.base import BaseCommand, CommandError

from billing import applying, gateway, plans, syncing
from billing.models import Plan, Subscription


class Command(BaseCommand):
    help = (
        "Reads prices, subscriptions and invoices from Stripe, prints every difference and takes"
        " it over. With --dry-run nothing is changed."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="only print the differences")

    def handle(self, dry_run=False, **options):
        if not gateway.is_configured():
            raise CommandError("STRIPE_SECRET_KEY is not set: there is nothing to look at.")
        if not dry_run:
            plans.make_first()
        failed = [*self._prices(dry_run), *self._subscriptions(dry_run)]
        if not dry_run:
            applying.drain()
        if failed:
            raise CommandError("\n".join(failed))

    def _prices(self, dry_run):
        """Compare what the plans cost; what could not be read."""
        for plan in Plan.objects.all():
            before = (plan.currency, plan.amount_monthly, plan.amount_yearly)
            try:
                wrong = plans.read_prices(plan, keep=not dry_run)
            except (gateway.Away, gateway.Refused) as exc:
                yield f"{plan.code}: {exc}"
                continue
            yield from wrong
            after = (plan.currency, plan.amount_monthly, plan.amount_yearly)
            if before != after:
                self.stdout.write(f"plan {plan.code}: {before} here, {after} at Stripe")

    def _subscriptions(self, dry_run):
        """Compare every customer of Stripe's; those that could not be looked at."""
        rows = Subscription.objects.across_tenants().filter(customer__gt="").order_by("tenant_id")
        same = 0
        for row in rows.select_related("tenant"):
            try:
                differences = syncing.refresh(row.tenant_id, apply=not dry_run)
            except (gateway.Away, gateway.Refused) as exc:
                yield f"{row.tenant.slug}: {exc}"
                continue
            for each in differences:
                self.stdout.write(f"{row.tenant.slug}: {each}")
            same += not differences
            problem = Subscription.objects.of(row.tenant_id).values_list("problem", flat=True).get()
            if problem:
                self.stdout.write(f"{row.tenant.slug}: {problem}")
        self.stdout.write(f"{same} of {len(rows)} subscriptions were as Stripe has them.")
