"""Leads, what is said with them, and what providers told us about it."""

from messaging.models.conversations import Conversation, Message, MessageEvent
from messaging.models.files import MessageFile
from messaging.models.leads import Lead, LeadIdentity, LeadMerge
from messaging.models.templates import MessageTemplate

__all__ = [
    "Conversation",
    "Lead",
    "LeadIdentity",
    "LeadMerge",
    "Message",
    "MessageEvent",
    "MessageFile",
    "MessageTemplate",
]
