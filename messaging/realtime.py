"""Telling open pages that something changed: ids only; they fetch what they show."""

import logging
from typing import Any

from django.db import DatabaseError, transaction

from amda.channel_layer import publish_sync
from tenants import context
from tenants.accounts.models import sign_ins_ended

logger = logging.getLogger(__name__)


def group_of(number: int) -> str:
    """The group that every open page of a tenant is in."""
    return f"tenant.{number}"


def publish(kind: str, **ids: Any) -> None:
    """Tell the tenant's open pages, once the open transaction commits.

    A lost event costs nothing: pages fetch again when they reconnect and every minute.
    """
    number = context.current_number()
    transaction.on_commit(lambda: publish_now(number, kind, **ids))


def publish_now(number: int, kind: str, **ids: Any) -> None:
    """Tell the tenant's open pages at once; a failure is logged and harms nobody."""
    _send(number, {"type": "tenant.event", "kind": kind, **ids})


def close_ended_pages(sender, user_id: int, **kwargs: Any) -> None:
    """Have a person's open pages look at once whether they may stay open."""
    if not context.in_public():
        _send(context.current_number(), {"type": "sign.ins.ended", "user": user_id})


def _send(number: int, event: dict[str, Any]) -> None:
    try:
        publish_sync(group_of(number), event)
    except (DatabaseError, OSError, ValueError):
        logger.warning("tenant %s: event %s was not published", number, event, exc_info=True)


sign_ins_ended.connect(close_ended_pages, dispatch_uid="close_ended_pages")
