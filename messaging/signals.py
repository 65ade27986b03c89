"""The few facts other apps may listen to; sent after commit, inside the tenant."""

import logging
from functools import partial

from django.db import transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)

message_received = Signal()
"""Somebody wrote. Argument: `message_ids`, the new messages of one batch."""

message_failed = Signal()
"""A message of ours failed for good. Argument: `message_id`."""

leads_changed = Signal()
"""Something that matters for these leads changed. Argument: `lead_ids`."""

instance_changed = Signal()
"""The state of one of the tenant's instances changed. Argument: `instance_id`."""


def received(message_ids: list[int]) -> None:
    """Tell listeners about new messages, once the batch is committed."""
    if message_ids:
        transaction.on_commit(partial(_tell, message_received, message_ids=message_ids))


def failed(message_id: int) -> None:
    """Tell listeners that a message failed, once that is committed."""
    transaction.on_commit(partial(_tell, message_failed, message_id=message_id))


def leads_touched(lead_ids: list[int]) -> None:
    """Tell listeners that something about these leads changed, once that is committed."""
    if lead_ids:
        transaction.on_commit(partial(_tell, leads_changed, lead_ids=lead_ids))


def instance_moved(instance_id: int) -> None:
    """Tell listeners that an instance's state changed, once that is committed."""
    transaction.on_commit(partial(_tell, instance_changed, instance_id=instance_id))


def _tell(signal: Signal, **facts) -> None:
    # A listener's mistake must never undo or delay what was received.
    for receiver, outcome in signal.send_robust(sender=None, **facts):
        if isinstance(outcome, Exception):
            logger.error("%s failed", receiver, exc_info=outcome)
