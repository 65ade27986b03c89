"""Leads, what is said with them, and what providers told us about it."""

from messaging.models.activity import Activity, InstanceDay, Standing
from messaging.models.conversations import Conversation, Message, MessageEvent
from messaging.models.files import MessageFile
from messaging.models.leads import (
    FollowUp,
    Lead,
    LeadIdentity,
    LeadMerge,
    Stage,
    StageChange,
)

__all__ = [
    "Activity",
    "Conversation",
    "FollowUp",
    "InstanceDay",
    "Lead",
    "LeadIdentity",
    "LeadMerge",
    "Message",
    "MessageEvent",
    "MessageFile",
    "Stage",
    "StageChange",
    "Standing",
]
