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


def received(message_ids: list[int]) -> None:
    """Tell listeners about new messages, once the batch is committed."""
    if message_ids:
        transaction.on_commit(partial(_tell, message_received, message_ids=message_ids))


def failed(message_id: int) -> None:
    """Tell listeners that a message failed, once that is committed."""
    transaction.on_commit(partial(_tell, message_failed, message_id=message_id))


def _tell(signal: Signal, **facts) -> None:
    # A listener's mistake must never undo or delay what was received.
    for receiver, outcome in signal.send_robust(sender=None, **facts):
        if isinstance(outcome, Exception):
            logger.error("%s failed", receiver, exc_info=outcome)
