"""What happens to a person's second step is kept in the audit."""

from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset

from tenants import audit

_CODES = Authenticator.Type.RECOVERY_CODES


def _added(sender, user, authenticator, **kwargs) -> None:
    is_codes = authenticator.type == _CODES
    act = "person.recovery_codes_made" if is_codes else "person.second_step_added"
    audit.record(act, by=user, subject=user, after={"kind": authenticator.type})


def _removed(sender, user, authenticator, **kwargs) -> None:
    kind = {"kind": authenticator.type}
    audit.record("person.second_step_removed", by=user, subject=user, before=kind)


def _reset(sender, user, authenticator, **kwargs) -> None:
    audit.record("person.recovery_codes_made", by=user, subject=user, after={"kind": _CODES.value})


authenticator_added.connect(_added, dispatch_uid="audit_added")
authenticator_removed.connect(_removed, dispatch_uid="audit_removed")
authenticator_reset.connect(_reset, dispatch_uid="audit_reset")
