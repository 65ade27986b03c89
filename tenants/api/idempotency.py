"""Writes that may be sent twice: the same Idempotency-Key has one effect and one answer."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, F, Func, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from tenants.accounts.models import RememberedWrite
from tenants.api.errors import Refusal
from tenants.context import bound_to

HEADER = "Idempotency-Key"
LONGEST_KEY = 200
# A first attempt that has said nothing for so long has crashed; another may take over.
CRASHED_SECONDS = 60
_REFERENCES = uuid.UUID("0f6c9a35-52a4-4a63-9a1c-6d0b1f3f7f0e")

_DOCUMENTED = extend_schema(
    parameters=[
        OpenApiParameter(
            HEADER,
            str,
            OpenApiParameter.HEADER,
            description=f"At most {LONGEST_KEY} printable ASCII characters. The same request "
            "with the same key is carried out once and answered the same every time.",
        )
    ]
)


def once(handler):
    """For methods of views that write: the whole write commits, or none of it.

    With an Idempotency-Key the answer is remembered in the same transaction and given again to
    the same request; only successes are remembered, so that a refused write can be tried again.
    """

    @wraps(handler)
    def write(view, request, *args, **kwargs):
        key = _key_of(request)
        if key is None:
            with transaction.atomic():
                return handler(view, request, *args, **kwargs)
        taken = _take(request, key)
        if taken.status is not None:
            return _replay(taken)
        try:
            with transaction.atomic():
                response = handler(view, request, *args, **kwargs)
                _remember(taken, response)
        except Exception:
            _let_go(taken)
            raise
        return response

    write.written_once = True
    return _DOCUMENTED(write)


def reference_of(request) -> uuid.UUID | None:
    """The reference that a message sent by this write always has; None without a key."""
    key = _key_of(request)
    if key is None:
        return None
    name = f"{bound_to()}:{request.user.pk}:{key}:{_fingerprint(request)}"
    return uuid.uuid5(_REFERENCES, name)


def correct_answers(
    identity: int,
    *,
    members: tuple[str, ...],
    since: datetime,
    correct: Callable[[dict[str, Any]], None],
) -> None:
    """Change what remembered answers say of one thing: every object with this id and members."""
    asked = " && ".join([f"@.id == {identity:d}", *(f"exists(@.{each})" for each in members)])
    holding = Func(
        F("answer"),
        Value(f"$.** ? ({asked})"),
        function="jsonb_path_exists",
        template="%(function)s(%(expressions)s::jsonpath)",
        output_field=BooleanField(),
    )
    rows = RememberedWrite.objects.filter(created_at__gte=since, answer__isnull=False)
    for remembered in rows.filter(holding):
        for each in _objects(remembered.answer):
            if each.get("id") == identity and all(member in each for member in members):
                correct(each)
        remembered.save(update_fields=["answer"])


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    inside = value if isinstance(value, list) else []
    if isinstance(value, dict):
        inside = list(value.values())
        yield value
    for each in inside:
        yield from _objects(each)


def _key_of(request) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not key or len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Refusal(
            status.HTTP_400_BAD_REQUEST,
            "idempotency_key_invalid",
            _("A key has 1 to %(longest)d printable ASCII characters.") % {"longest": LONGEST_KEY},
            HEADER,
        )
    return key


def _fingerprint(request) -> str:
    said = f"{request.method} {request.get_full_path()}\n".encode() + request.body
    return hashlib.sha256(said).hexdigest()


def _take(request, key: str) -> RememberedWrite:
    """The row of this write: ours to carry out while its status is None, else remembered."""
    fingerprint = _fingerprint(request)
    # Committed before the write begins, so that whoever comes meanwhile sees it.
    taken, is_new = RememberedWrite.objects.get_or_create(
        user=request.user, key=key, defaults={"fingerprint": fingerprint}
    )
    if taken.fingerprint != fingerprint:
        raise Refusal(
            status.HTTP_422_UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            _("This key was used for another request."),
            HEADER,
        )
    if not is_new and taken.status is None:
        _take_over(taken)
    return taken


def _take_over(taken: RememberedWrite) -> None:
    now = timezone.now()
    if taken.created_at > now - timedelta(seconds=CRASHED_SECONDS):
        raise _in_progress()
    if not _mine(taken).update(created_at=now):
        raise _in_progress()
    taken.created_at = now


def _remember(taken: RememberedWrite, response: Response) -> None:
    answer = json.loads(JSONRenderer().render(response.data))
    # Nobody's any more: another attempt took over, and only one of the two may commit.
    if not _mine(taken).update(status=response.status_code, answer=answer):
        raise _in_progress()


def _let_go(taken: RememberedWrite) -> None:
    _mine(taken).delete()


def _mine(taken: RememberedWrite) -> Any:
    """The row, as long as the attempt that set this moment still has it."""
    return RememberedWrite.objects.filter(pk=taken.pk, status=None, created_at=taken.created_at)


def _replay(taken: RememberedWrite) -> Response:
    return Response(taken.answer, status=taken.status, headers={"Idempotent-Replay": "true"})


def _in_progress() -> Refusal:
    return Refusal(
        status.HTTP_409_CONFLICT,
        "idempotency_in_progress",
        _("The same request is being carried out. Please ask again in a moment."),
        HEADER,
    )
