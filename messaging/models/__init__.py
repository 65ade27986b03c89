"""Leads, what is said with them, and what providers told us about it."""

from messaging.models.conversations import Conversation, Message, MessageEvent
from messaging.models.files import MessageFile
from messaging.models.leads import Lead, LeadIdentity, LeadMerge
from messaging.models.notes import Draft, Mention, Note

__all__ = [
    "Conversation",
    "Draft",
    "Lead",
    "LeadIdentity",
    "LeadMerge",
    "Mention",
    "Message",
    "MessageEvent",
    "MessageFile",
    "Note",
]
