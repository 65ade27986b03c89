"""`rotate_field_keys` seals everything under the first of FIELD_KEYS."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import BinaryField

from tenants import directory, secrets
from tenants.managers import SharedRows

BATCH = 200


class Command(BaseCommand):
    help = (
        "Encrypts instances' secrets and what was posted to us under the first of FIELD_KEYS. It"
        " may be stopped and run again; afterwards the other keys can be removed."
    )

    def handle(self, **options):
        lost = sum(self._rotate(model, field) for model, field in _sealed())
        directory.changed()
        if lost:
            raise CommandError(
                f"{lost} values were sealed with a key that FIELD_KEYS does not list; they stay."
            )
        self.stdout.write("Everything is sealed under the first key.")

    def _rotate(self, model, field):
        """Reseal one column, oldest rows first; returns how many values no key opens."""
        last, resealed, lost = 0, 0, 0
        while rows := _batch_after(last, model, field):
            for pk, sealed in rows:
                try:
                    resealed += _reseal(model, field, pk, bytes(sealed))
                except InvalidToken:
                    lost += 1
            last = rows[-1][0]
            self.stdout.write(f"{model.__name__}.{field}: up to {last}, {resealed} resealed")
        return lost


def _sealed():
    """Every binary column of the shared tables: nothing else is kept in one."""
    return [
        (model, field.name)
        for model in apps.get_models()
        if isinstance(model._default_manager, SharedRows)
        for field in model._meta.local_fields
        if isinstance(field, BinaryField)
    ]


def _batch_after(last, model, field):
    rows = model.objects.across_tenants().filter(pk__gt=last).order_by("pk")
    return list(rows.values_list("pk", field)[:BATCH])


def _reseal(model, field, pk, sealed):
    if not sealed or _is_under_first_key(sealed):
        return 0
    # A body that was erased, or secrets that were replaced, meanwhile must not come back.
    unchanged = model.objects.across_tenants().filter(pk=pk, **{field: sealed})
    return unchanged.update(**{field: secrets.reseal(sealed)})


def _is_under_first_key(sealed):
    try:
        Fernet(settings.FIELD_KEYS[0]).decrypt(base64.urlsafe_b64encode(sealed))
    except InvalidToken:
        return False
    return True
