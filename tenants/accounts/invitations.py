"""Inviting somebody to the team: a signed link, good at one tenant, for some days, once."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import audit, context
from tenants.accounts.models import Invitation, Role, User
from tenants.accounts.team import NotAllowed, roles_for

SALT = "tenants.accounts.invitation"
MOST_OPEN = 100
SENT_AGAIN_AFTER = timedelta(minutes=1)


def invite(email: str, role: str, *, by: User) -> Invitation:
    """An open invitation for somebody who is not in the team yet, or `NotAllowed`.

    `LimitReached` where the plan has no room for everybody who is invited.
    """
    if role not in roles_for(by):
        raise NotAllowed(_("Only an owner can make somebody an owner."))
    if User.objects.filter(email__iexact=email).exists():
        raise NotAllowed(_("This address is in the team already."))
    if open_invitations().count() >= MOST_OPEN:
        raise NotAllowed(_("Too many invitations are open: revoke some first."))
    try:
        with transaction.atomic():
            User.objects.require_room(besides=open_invitations().count())
            invitation = Invitation.objects.create(
                email=email, role=role, invited_by=by, **_fresh_link()
            )
            _record("invitation.sent", invitation, by)
    except IntegrityError as exc:
        raise NotAllowed(_("This address is invited already: send the invitation again.")) from exc
    return invitation


def invite_owner(email: str) -> Invitation:
    """An open invitation as owner, given by the platform; one that is open already gets a new
    link. `NotAllowed` where the address is in the team."""
    if User.objects.filter(email__iexact=email).exists():
        raise NotAllowed(_("This address is in the team already."))
    with transaction.atomic():
        known = open_invitations().select_for_update().filter(email__iexact=email).first()
        invitation = known or Invitation(email=email)
        invitation.role = Role.OWNER
        for name, value in _fresh_link().items():
            setattr(invitation, name, value)
        invitation.save()
        _record("invitation.renewed" if known else "invitation.sent", invitation, None)
    return invitation


def renew(pk: int, *, by: User) -> Invitation:
    """The invitation with a new link to send; the former one is worthless."""
    with transaction.atomic():
        invitation = _to_change(pk, by)
        if invitation.sent_at > timezone.now() - SENT_AGAIN_AFTER:
            raise NotAllowed(_("This was sent a moment ago. Please wait a minute."))
        for name, value in _fresh_link().items():
            setattr(invitation, name, value)
        invitation.save(update_fields=["nonce", "sent_at", "expires_at"])
        _record("invitation.renewed", invitation, by)
    return invitation


def revoke(pk: int, *, by: User) -> Invitation:
    """Make an invitation's link worthless."""
    with transaction.atomic():
        invitation = _to_change(pk, by)
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        _record("invitation.revoked", invitation, by)
    return invitation


def accept(key: str, *, name: str, password: str, language: str) -> User | None:
    """The new person of the team; None if the link is not good any more."""
    with transaction.atomic():
        invitation = _named_by(key, Invitation.objects.select_for_update())
        if invitation is None or User.objects.filter(email__iexact=invitation.email).exists():
            return None
        invitation.accepted_at = timezone.now()
        invitation.save(update_fields=["accepted_at"])
        person = User.objects.create_user(
            invitation.email, password, name=name, role=invitation.role, language=language
        )
        _record("invitation.accepted", invitation, person)
        return person


def key_of(invitation: Invitation) -> str:
    """What the link carries: which invitation, of which tenant, sent which time."""
    facts = [context.current_number(), invitation.pk, invitation.nonce]
    return signing.dumps(facts, salt=SALT)


def invitation_of(key: str) -> Invitation | None:
    """The open invitation a link is for; None for any other link, another tenant's included."""
    return _named_by(key, Invitation.objects.all())


def open_invitations() -> QuerySet[Invitation]:
    """Those that were neither accepted nor revoked, newest first; expired ones can be renewed."""
    return Invitation.objects.filter(accepted_at=None, revoked_at=None).order_by("-pk")


def _named_by(key: str, rows: QuerySet[Invitation]) -> Invitation | None:
    try:
        number, pk, nonce = signing.loads(key, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if number != context.current_number():
        return None
    return rows.filter(
        pk=pk, nonce=nonce, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
    ).first()


def _to_change(pk: int, by: User) -> Invitation:
    invitation = open_invitations().select_for_update().get(pk=pk)
    if invitation.role not in roles_for(by):
        raise NotAllowed(_("Only an owner can change the invitation of an owner."))
    return invitation


def _record(act: str, invitation: Invitation, by: User | None) -> None:
    audit.record(act, by=by, subject=invitation, after={"role": invitation.role})


def _fresh_link() -> dict:
    now = timezone.now()
    return {
        "nonce": secrets.token_hex(16),
        "sent_at": now,
        "expires_at": now + timedelta(days=settings.INVITATION_DAYS),
    }
