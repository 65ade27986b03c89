"""The second step of signing in: an app's code, a passkey, or a recovery code."""

import base64
import time

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenants import context, directory, secrets

STEPS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""What counts as a second step; recovery codes only stand in for one."""
SET_UP_FIRST = _("Your team signs in with a second step. Please set yours up first.")


class SecondStepAdapter(DefaultMFAAdapter):
    """allauth's decisions where ours differ."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is not right, or was used before."),
        "cannot_delete_authenticator": _(
            "Your team signs in with a second step: set up another one before removing this one."
        ),
    }

    def encrypt(self, text: str) -> str:
        """Secrets are sealed at rest like every other secret."""
        return base64.b64encode(secrets.seal(text.encode())).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.unseal(base64.b64decode(encrypted_text)).decode()

    def get_totp_issuer(self) -> str:
        """What an authenticator app lists the account under: two vendors must be told apart."""
        return self._get_site_name()

    def can_delete_authenticator(self, authenticator) -> bool:
        """Not the last second step of somebody who needs one."""
        if authenticator.type not in STEPS or not is_required(authenticator.user, _tenant_here()):
            return True
        others = Authenticator.objects.filter(user=authenticator.user, type__in=STEPS)
        return others.exclude(pk=authenticator.pk).exists()

    def generate_authenticator_name(self, user, type) -> str:
        """The name a new passkey has until somebody gives it another."""
        position = Authenticator.objects.filter(user=user, type=type).count() + 1
        return gettext("Passkey %(position)s") % {"position": position}

    def _get_site_name(self) -> str:
        name = getattr(_tenant_here(), "name", "")
        return f"AMDA {name}".strip()


def is_set_up(user) -> bool:
    """Whether a password alone does not sign this person in."""
    return Authenticator.objects.filter(user_id=user.pk, type__in=STEPS).exists()


def is_required(user, tenant) -> bool:
    """Whether the tenant's owners, or for staff the platform, ask for a second step."""
    return settings.STAFF_REQUIRE_MFA if tenant is None else tenant.requires_mfa


def is_lacking(user, tenant) -> bool:
    """Whether this person has to set a second step up before doing anything else."""
    return is_required(user, tenant) and not is_set_up(user)


def accept(user, code: str) -> Authenticator | None:
    """Use a code up and return what it belongs to; None if it is wrong or was used before.

    Raises allauth's `ValidationError` after too many wrong ones. Must be called in a request.
    """
    forget_attempts = check_rate_limit(user)
    with transaction.atomic():
        # The person is locked, so that two requests cannot use the same code.
        get_user_model().objects.select_for_update().get(pk=user.pk)
        used = _use_up(user, code)
    if used is not None:
        forget_attempts()
    return used


def _use_up(user, code: str) -> Authenticator | None:
    codes = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
    for authenticator in Authenticator.objects.filter(user=user, type__in=codes).order_by("-type"):
        is_totp = authenticator.type == Authenticator.Type.TOTP
        accepted = _use_totp if is_totp else _use_recovery_code
        if accepted(authenticator, code):
            return authenticator
    return None


def _use_totp(authenticator: Authenticator, code: str) -> bool:
    """A code is good once: never the one of a moment that was used, nor of one before it."""
    secret = _secret_of(authenticator)
    last = authenticator.data.get("last_counter", -1)
    for counter in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if counter > last and compare_user_code(actual=code, expected=expected):
            authenticator.data["last_counter"] = counter
            authenticator.save(update_fields=["data"])
            return True
    return False


def _use_recovery_code(authenticator: Authenticator, code: str) -> bool:
    return authenticator.wrap().validate_code(code)


def _spend_the_code_of_setting_up(sender, authenticator: Authenticator, **kwargs) -> None:
    """The code an app was set up with is known to have been seen: it does not sign in."""
    if authenticator.type == Authenticator.Type.TOTP:
        authenticator.data["last_counter"] = int(time.time()) // mfa_settings.TOTP_PERIOD
        authenticator.save(update_fields=["data"])


def _secret_of(authenticator: Authenticator) -> str:
    return SecondStepAdapter().decrypt(authenticator.data["secret"])


def _tenant_here():
    """The tenant of the connection as the directory knows it; None in `public`."""
    return None if context.in_public() else directory.tenant_numbered(context.current_number())


authenticator_added.connect(
    _spend_the_code_of_setting_up, dispatch_uid="spend_the_code_of_setting_up"
)
