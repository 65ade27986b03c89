"""Leads, what is said with them, and what providers told us about it."""

from messaging.models.activity import Activity, InstanceDay, Standing
from messaging.models.conversations import Conversation, Message, MessageEvent
from messaging.models.espo import EspoPush, EspoRecord
from messaging.models.files import MessageFile
from messaging.models.leads import (
    FollowUp,
    Lead,
    LeadIdentity,
    LeadMerge,
    Stage,
    StageChange,
)
from messaging.models.notes import Draft, Mention, Note
from messaging.models.replies import CannedReply
from messaging.models.tags import LeadTag, Tag
from messaging.models.templates import MessageTemplate

__all__ = [
    "Activity",
    "CannedReply",
    "Conversation",
    "Draft",
    "EspoPush",
    "EspoRecord",
    "FollowUp",
    "InstanceDay",
    "Lead",
    "LeadIdentity",
    "LeadMerge",
    "LeadTag",
    "Mention",
    "Message",
    "MessageEvent",
    "MessageFile",
    "MessageTemplate",
    "Note",
    "Stage",
    "StageChange",
    "Standing",
    "Tag",
]
