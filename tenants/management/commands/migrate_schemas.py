"""`migrate_schemas`: `public` first, then every tenant by itself, and a look at the result."""

import os
from collections import Counter

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone
from django_tenants.management.commands.migrate_schemas import MigrateSchemasCommand

from tenants import migrating, schema
from tenants.context import PUBLIC
from tenants.migrating import State
from tenants.models import Tenant

# What asks for something else than bringing every tenant to the state of the code.
_OTHERWISE = ("plan", "check_unapplied", "app_label", "fake", "prune", "schema_name")
MOST_AT_ONCE = 4


class Command(MigrateSchemasCommand):
    """Migrates `public` and every tenant; afterwards no tenant may lack a table.

    A tenant that fails is told and holds nobody up; run it again once the cause is gone, and only
    what is left is done. In production it wants to see a recent backup first.
    """

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "--at-once",
            type=int,
            default=min(MOST_AT_ONCE, os.cpu_count() or 1),
            help="how many tenants are migrated at the same time",
        )
        parser.add_argument(
            "--without-backup",
            action="store_true",
            help="do not insist on a backup of the last 24 hours",
        )

    def handle(self, *args, **options):
        at_once, insists = options.pop("at_once"), not options.pop("without_backup")
        if any(options[name] for name in _OTHERWISE):
            super().handle(*args, **options)
        elif options["shared"] and not options["tenant"]:
            super().handle(*args, **options)
            return
        else:
            self._migrate_everything(args, options, at_once, insists)
        if not (options["plan"] or options["check_unapplied"] or options["app_label"]):
            _require_whole()

    def _migrate_everything(self, args, options, at_once: int, insists: bool) -> None:
        if insists and not settings.DEBUG:
            _require_backup()
        if options["shared"] == options["tenant"]:
            super().handle(*args, **{**options, "shared": True, "tenant": False})
        tenants = list(Tenant.objects.order_by("number"))
        counts: Counter[State] = Counter()
        for outcome in migrating.migrate_all(tenants, _own(options), at_once):
            counts[outcome.state] += 1
            if options["verbosity"] and outcome.state is not State.CURRENT:
                position = f"{counts.total()} of {len(tenants)}"
                reason = f": {outcome.reason}" if outcome.reason else ""
                self.stdout.write(f"{position} {outcome.slug} {outcome.state}{reason}")
        if options["verbosity"]:
            self.stdout.write(", ".join(f"{counts[state]} {state}" for state in State))
        if counts[State.FAILED]:
            raise CommandError(
                f"{counts[State.FAILED]} of {len(tenants)} vendors could not be migrated; the"
                " others are. Put the cause right and run migrate_schemas again."
            )


def _own(options) -> dict:
    """The options that Django's `migrate` itself takes; they cross to other processes."""
    left_out = {"stdout", "stderr", "schema_name", "executor", "tenant", "shared", "parallel"}
    return {name: value for name, value in options.items() if name not in left_out}


def _require_whole() -> None:
    try:
        schema.require_whole()
    except schema.Incomplete as exc:
        raise CommandError(str(exc)) from exc


def _require_backup() -> None:
    stamp = settings.BACKUP_STAMP
    if migrating.is_backed_up(stamp, timezone.now()):
        return
    schemas = migrating.schemas_of_tenants()
    if schemas and any(map(migrating.is_behind, [PUBLIC, *schemas])):
        raise CommandError(
            f"{stamp} is not of the last 24 hours: make a backup and touch that file, or say"
            " --without-backup. Nothing was changed."
        )
