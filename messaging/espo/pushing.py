"""Telling the CRM what waits: in order for each of its records, each thing once.

A push is marked as on its way before anything leaves. One whose outcome is unknown, as after a
lost answer or a crash, is looked for in the CRM before it is told again. Trouble of the CRM as a
whole pauses everything and counts for nothing; trouble with one push lets the others pass.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F
from django.utils import timezone

from messaging.espo import agreeing, leads, pulling, turns, wording
from messaging.espo.agreeing import Terms
from messaging.espo.client import Because, Client, EspoError, safe
from messaging.models import EspoPush, EspoRecord
from tenants.models import CrmLink

State = EspoPush.State
Kind = EspoPush.Kind
MOST_AT_ONCE = 200
ATTEMPTS = 8
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=5)
# What was cut off may still be written there: one looks for it when that is over.
UNSURE_PAUSE = timedelta(seconds=90)


class NotNeeded(Exception):
    """There is nothing to tell any more."""


def drain(link: CrmLink, client: Client, terms: Terms) -> bool:
    """Tell what is due, as much as one run may; whether there may be more.

    Raises `EspoError` where the CRM cannot be spoken to: everything then stays as it is.
    """
    _own_up_to_lost_claims()
    for _turn in range(MOST_AT_ONCE):
        push = _claim(timezone.now())
        if push is None:
            return False
        turns.stay(link)
        _do(push, link, client, terms)
    return True


def is_something_due(now: datetime) -> bool:
    """Whether anything waits whose time, and whose turn, has come."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, {"now": now})
        return cursor.fetchone() is not None


def _do(push: EspoPush, link: CrmLink, client: Client, terms: Terms) -> None:
    try:
        remote_id = _ACTS[push.kind](push, link, client, terms)
    except NotNeeded:
        _end(push, State.DROPPED)
    except EspoError as error:
        _put_off(push, error, client)
    else:
        _end(push, State.DONE, remote_id)


def _message(push: EspoPush, link: CrmLink, client: Client, terms: Terms) -> str:
    message = push.message
    known = _found(client, push) if push.is_unsure else ""
    if known:
        return known
    if message is None or message.deleted_at:
        raise NotNeeded
    if push.kind == Kind.EMAIL:
        return str(client.post("Email", wording.email(message, push.record))["id"])
    return str(client.post("Note", wording.note(message, push.record))["id"])


def _correct(push: EspoPush, link: CrmLink, client: Client, terms: Terms) -> str:
    message = push.message
    told = EspoPush.objects.filter(message=message, kind__in=(Kind.NOTE, Kind.EMAIL)).first()
    if message is None or told is None:
        raise NotNeeded
    remote_id = told.remote_id or (_found(client, told) if told.is_unsure else "")
    if not remote_id:
        raise NotNeeded
    if told.kind == Kind.EMAIL:
        path, change = f"Email/{safe(remote_id)}", wording.email_text(message)
    else:
        path, change = f"Note/{safe(remote_id)}", {"post": wording.note_text(message)}
    try:
        client.put(path, change)
    except EspoError as error:
        if error.code == "not_found":
            raise NotNeeded from error
        if error.code != "forbidden" or not message.deleted_at:
            raise
        # An older note cannot be changed any more, but still be removed.
        client.delete(path)
    return remote_id


def _change(push: EspoPush, link: CrmLink, client: Client, terms: Terms) -> str:
    """Both sides first agree on what is true now; what is left to say is ours."""
    told = pulling.take(link, client, terms, push.record.record_id)
    if told is None:
        raise NotNeeded
    record = EspoRecord.objects.select_related("lead").get(pk=push.record_id)
    change, agreed = agreeing.differences(record, told, terms)
    if change:
        answer = leads.lead_of(client.put(f"Lead/{safe(told.id)}", change))
        agreed |= {"modified_at": answer.modified_at, "told": answer.told}
        if answer.main_phone != record.main_phone:
            agreed |= {"main_phone": answer.main_phone, "main_phone_since": answer.modified_at}
    EspoRecord.objects.filter(pk=record.pk).update(**agreed)
    return ""


_Act = Callable[[EspoPush, CrmLink, Client, Terms], str]
_ACTS: Mapping[str, _Act] = {
    Kind.NOTE: _message,
    Kind.EMAIL: _message,
    Kind.CORRECTION: _correct,
    Kind.LEAD: _change,
}


def _found(client: Client, push: EspoPush) -> str:
    return _mailed(client, push) if push.kind == Kind.EMAIL else _noted(client, push)


def _noted(client: Client, push: EspoPush) -> str:
    """The note of this message, where an earlier try did arrive."""
    mark = wording.mark(push.message)
    # A little longer than the oldest try may be ago, by whatever clock the CRM has.
    oldest = leads.written(push.created_at - timedelta(days=1))
    for note in leads.stream(client, push.record.record_id):
        if mark in str(note.get("post") or ""):
            return str(note["id"])
        if str(note.get("createdAt") or oldest) < oldest:
            return ""
    return ""


def _mailed(client: Client, push: EspoPush) -> str:
    where = [
        {"type": "equals", "attribute": "parentId", "value": push.record.record_id},
        {"type": "contains", "attribute": "body", "value": wording.mark(push.message)},
    ]
    asked = {"select": "id", "where": where, "maxSize": 1, "offset": 0}
    found = client.get("Email", asked).get("list") or []
    return str(found[0]["id"]) if found else ""


def _end(push: EspoPush, state: str, remote_id: str = "") -> None:
    mine = EspoPush.objects.filter(pk=push.pk)
    if push.kind in (Kind.LEAD, Kind.CORRECTION):
        # Nothing is ever asked of these again; what was refused before has been told by now.
        EspoPush.objects.filter(
            record=push.record_id, kind=push.kind, message=push.message_id, state=State.FAILED
        ).delete()
        mine.delete()
        return
    mine.update(state=state, remote_id=remote_id, is_unsure=False, error_code="", error_detail="")


def _put_off(push: EspoPush, error: EspoError, client: Client) -> None:
    """Write down what went wrong; raises it again where it is the CRM's trouble as a whole."""
    now = timezone.now()
    match error.because:
        case Because.AWAY | Because.KEY:
            _wait(push, error, None, counts=False)
            raise error
        case Because.UNKNOWN:
            is_unsure = push.kind in (Kind.NOTE, Kind.EMAIL)
            if not _is_well(client):
                _wait(push, error, now + UNSURE_PAUSE, counts=False, is_unsure=is_unsure)
                raise error
            if push.attempts >= ATTEMPTS:
                _fail(push, error, is_unsure=is_unsure)
                return
            pause = min(FIRST_PAUSE * 2 ** (push.attempts - 1), LONGEST_PAUSE)
            _wait(push, error, now + max(pause, UNSURE_PAUSE), is_unsure=is_unsure)
        case Because.REFUSED:
            if error.code in ("forbidden", "not_found") and _is_gone(client, push):
                pulling.gone([push.record.record_id], now=now)
                return
            _fail(push, error)


def _is_well(client: Client) -> bool:
    """Whether the CRM answers at all: then the trouble is with this one push."""
    try:
        client.get("App/user")
    except EspoError:
        return False
    return True


def _is_gone(client: Client, push: EspoPush) -> bool:
    return not leads.there_still(client, [push.record.record_id])


def _wait(
    push: EspoPush,
    error: EspoError,
    until: datetime | None,
    *,
    counts: bool = True,
    is_unsure: bool = False,
) -> None:
    """Back among those that wait; a later change of the same lead that waits already is enough."""
    mine = EspoPush.objects.filter(pk=push.pk)
    if push.kind in (Kind.LEAD, Kind.CORRECTION) and _waits_already(push):
        mine.delete()
        return
    mine.update(
        state=State.WAITING,
        not_before=until,
        attempts=push.attempts if counts else F("attempts") - 1,
        is_unsure=push.is_unsure or is_unsure,
        error_code=error.code,
        error_detail=error.detail,
    )


def _waits_already(push: EspoPush) -> bool:
    same = {"record": push.record_id, "kind": push.kind, "message": push.message_id}
    return EspoPush.objects.filter(**same, state=State.WAITING).exists()


def _fail(push: EspoPush, error: EspoError, *, is_unsure: bool = False) -> None:
    same = {"record": push.record_id, "kind": push.kind, "message": push.message_id}
    EspoPush.objects.filter(**same, state=State.FAILED).delete()
    EspoPush.objects.filter(pk=push.pk).update(
        state=State.FAILED,
        is_unsure=push.is_unsure or is_unsure,
        error_code=error.code,
        error_detail=error.detail,
    )


def _own_up_to_lost_claims() -> None:
    """What a run that was killed had begun waits again, and is looked for before it is told."""
    for push in EspoPush.objects.filter(state=State.SENDING).order_by("pk"):
        lost = EspoError(Because.UNKNOWN, "interrupted")
        is_unsure = push.kind in (Kind.NOTE, Kind.EMAIL)
        _wait(push, lost, timezone.now() + UNSURE_PAUSE, is_unsure=is_unsure)


def _claim(now: datetime) -> EspoPush | None:
    """Take the next push that is due; never one whose record has an earlier one on its way."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM.format(next=_NEXT), {"now": now})
        row = cursor.fetchone()
    if row is None:
        return None
    return EspoPush.objects.select_related("record", "message__conversation", "message__by").get(
        pk=row[0]
    )


_NEXT = """
SELECT push.id FROM messaging_espopush push
JOIN messaging_esporecord record ON record.id = push.record_id
WHERE push.state = 'waiting' AND (push.not_before IS NULL OR push.not_before <= %(now)s)
  AND record.gone_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM messaging_espopush earlier
    WHERE earlier.record_id = push.record_id AND earlier.state IN ('waiting', 'sending')
      AND earlier.id < push.id)
ORDER BY push.id
LIMIT 1
"""

_CLAIM = """
UPDATE messaging_espopush SET state = 'sending', tried_at = %(now)s, attempts = attempts + 1
WHERE state = 'waiting' AND id = ({next})
RETURNING id
"""
