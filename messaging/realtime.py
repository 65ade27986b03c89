"""Telling open pages that something changed: ids only; they fetch what they show.

Who sees every conversation is in the tenant's group. Who does not hears of unassigned
conversations, and of what concerns nobody's, in one group, and of their own in another.
"""

import logging
from collections.abc import Iterable
from typing import Any

from django.db import DatabaseError, transaction

from amda.channel_layer import publish_sync
from messaging.models import Conversation
from tenants import context, directory
from tenants.accounts.models import rights_changed, sign_ins_ended

logger = logging.getLogger(__name__)


def group_of(number: int) -> str:
    """The group of a tenant's open pages whose people see every conversation."""
    return f"tenant.{number}"


def shared_group_of(number: int) -> str:
    """The group of a tenant's other open pages."""
    return f"tenant.{number}.shared"


def group_of_person(number: int, user_id: int) -> str:
    """The group of one person's open pages, where they see their own conversations only."""
    return f"tenant.{number}.person.{user_id}"


def groups_for(number: int, user_id: int, *, sees_all: bool) -> frozenset[str]:
    """The groups that an open page of this person belongs into."""
    if sees_all:
        return frozenset({group_of(number)})
    return frozenset({shared_group_of(number), group_of_person(number, user_id)})


def publish(kind: str, *, formerly: Iterable[int | None] = (), **ids: Any) -> None:
    """Tell the tenant's open pages, once the open transaction commits.

    A conversation's news reaches those who may see it, and `formerly` those who could as its
    assignees. A lost event costs nothing: pages fetch again when they reconnect and every minute.
    """
    number = context.current_number()
    groups = [group_of(number)]
    if not directory.tenant_numbered(number).agents_see_all:
        groups += _audience(number, ids.get("conversation"), formerly)
    transaction.on_commit(lambda: _publish_to(groups, kind, ids))


def publish_now(number: int, kind: str, **ids: Any) -> None:
    """Tell every open page of the tenant at once; a failure is logged and harms nobody."""
    _publish_to([group_of(number), shared_group_of(number)], kind, ids)


def stale() -> None:
    """Much changed at once: the tenant's open pages fetch again what they show, silently."""
    number = context.current_number()
    for group in (group_of(number), shared_group_of(number)):
        _send(group, {"type": "resync"})


def close_ended_pages(sender, user_id: int, **kwargs: Any) -> None:
    """Have a person's open pages look at once whether they may stay open."""
    _tell_everybody({"type": "sign.ins.ended", "user": user_id})


def regroup_pages(sender, user_id: int | None, **kwargs: Any) -> None:
    """Have open pages hear from now on what their person may see."""
    _tell_everybody({"type": "rights.changed", "user": user_id})


def _audience(number: int, conversation: int | None, formerly: Iterable[int | None]) -> list[str]:
    if conversation is None:
        return [shared_group_of(number)]
    rows = Conversation.objects.filter(pk=conversation)
    people = dict.fromkeys([*rows.values_list("assignee_id", flat=True), *formerly])
    return [
        shared_group_of(number) if person is None else group_of_person(number, person)
        for person in people
    ]


def _publish_to(groups: Iterable[str], kind: str, ids: dict[str, Any]) -> None:
    for group in groups:
        _send(group, {"type": "tenant.event", "kind": kind, **ids})


def _tell_everybody(event: dict[str, Any]) -> None:
    if not context.in_public():
        number = context.current_number()
        for group in (group_of(number), shared_group_of(number)):
            _send(group, event)


def _send(group: str, event: dict[str, Any]) -> None:
    try:
        publish_sync(group, event)
    except (DatabaseError, OSError, ValueError):
        logger.warning("%s: event %s was not published", group, event, exc_info=True)


sign_ins_ended.connect(close_ended_pages, dispatch_uid="close_ended_pages")
rights_changed.connect(regroup_pages, dispatch_uid="regroup_pages")
