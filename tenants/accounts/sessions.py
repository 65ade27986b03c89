"""What ties a session to its tenant, its person's present sign-ins, and a row they can revoke."""

from datetime import timedelta
from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from tenants import audit, context
from tenants.accounts.models import KnownSession, User, tell_sign_ins_ended

TENANT_KEY = "tenant_number"
VERSION_KEY = "token_version"
KNOWN_KEY = "known_session"
NOTED_EVERY = timedelta(minutes=5)
LONGEST_AGENT = 300


def bind(request, user: User) -> None:
    """Tie a request's session to the tenant, the user's token version and a row of its own."""
    known = KnownSession.objects.create(
        user=user,
        user_agent=request.META.get("HTTP_USER_AGENT", "").replace("\0", "")[:LONGEST_AGENT],
        address=audit.address_of(request),
    )
    request.session[TENANT_KEY] = context.bound_to()
    request.session[VERSION_KEY] = user.token_version
    request.session[KNOWN_KEY] = str(known.pk)


def signed_in(session) -> KnownSession | None:
    """The row of a session that signs its person in here and now, with the person; else None.

    It was made at this tenant, was not revoked, and the person's sign-ins were not ended since.
    """
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    if session.get(TENANT_KEY) != context.bound_to() or not session.get(KNOWN_KEY):
        return None
    rows = KnownSession.objects.select_related("user")
    known = rows.filter(pk=session[KNOWN_KEY], user_id=session[SESSION_KEY]).first()
    return known if known is not None and _is_current(session, known.user) else None


def note_use(request, known: KnownSession) -> None:
    """Remember now and then that a session is in use, which also prolongs it."""
    now = timezone.now()
    if known.last_used_at > now - NOTED_EVERY:
        return
    KnownSession.objects.filter(pk=known.pk).update(
        last_used_at=now, address=audit.address_of(request)
    )
    request.session.modified = True


def sessions_of(user: User) -> QuerySet[KnownSession]:
    """Where a person is signed in, the one used last first."""
    oldest = timezone.now() - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return user.known_sessions.filter(last_used_at__gte=oldest).order_by("-last_used_at", "pk")


def sign_device_out(user: User, pk: Any) -> bool:
    """End one of a person's sessions at their wish; False where they have no such one."""
    wanted = user.known_sessions.filter(pk=pk)
    with transaction.atomic():
        known = wanted.first()
        if known is None or not revoke(wanted, user):
            return False
        facts = {"device": known.user_agent, "network_address": known.address}
        audit.record("person.device_signed_out", by=user, subject=user, before=facts)
    return True


def sign_out_elsewhere(request, user: User) -> None:
    """End everything but the session of this request, at the person's wish."""
    with transaction.atomic():
        audit.record("person.signed_out_elsewhere", by=user, subject=user)
        end_others(request, user)


def revoke(sessions: QuerySet[KnownSession], user: User) -> int:
    """End these sessions of a person at once, open pages included; how many there were."""
    ended, _rows = sessions.filter(user=user).delete()
    tell_sign_ins_ended(user.pk)
    return ended


def end_others(request, user: User) -> None:
    """End every session and token of a person but the session of this request."""
    with transaction.atomic():
        user.end_all_sign_ins()
        bind(request, user)
        # Kept with the rest, before this session's own open pages look whether they may stay.
        request.session.save()


def _is_current(session, user: User) -> bool:
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    given = session.get(HASH_SESSION_KEY, "")
    return (
        user.is_active
        and session.get(VERSION_KEY) == user.token_version
        and any(constant_time_compare(given, each) for each in hashes)
    )


def _bind_new_session(sender, request, user, **kwargs) -> None:
    if request is None:
        return
    oldest = timezone.now() - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    KnownSession.objects.filter(user=user, last_used_at__lt=oldest).delete()
    bind(request, user)


def _forget_session(sender, request, user, **kwargs) -> None:
    if request is not None and user is not None and KNOWN_KEY in request.session:
        revoke(KnownSession.objects.filter(pk=request.session[KNOWN_KEY]), user)


def _end_other_sign_ins(sender, request, user, **kwargs) -> None:
    """A new password makes every token and session worthless but the one it was set in."""
    audit.record("person.password_changed", by=user, subject=user)
    if request.user.is_authenticated and request.user.pk == user.pk:
        end_others(request, user)
    else:
        user.end_all_sign_ins()


user_logged_in.connect(_bind_new_session, dispatch_uid="bind_new_session")
user_logged_out.connect(_forget_session, dispatch_uid="forget_session")
for _signal in (password_changed, password_reset, password_set):
    _signal.connect(_end_other_sign_ins, dispatch_uid="end_other_sign_ins")
