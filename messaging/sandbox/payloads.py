"""The bodies of the webhooks, in the shapes that the real service posts.

The shapes are not uniform there, so they are not here: received messages are an object, upserts
an array, the echo of a sent message is flat; some timestamps count seconds, others milliseconds;
some bodies carry the session's API key as `sessionId`.
"""

import time

from .store import Customer, Message, Session, Status


def received(message: Message, customer: Customer, *, only_lid: bool) -> dict:
    """A customer wrote; by the LID alone when WhatsApp keeps the number to itself."""
    return {
        "event": "messages.received",
        "timestamp": int(time.time()),
        "data": {"messages": _incoming(message, customer, only_lid)},
    }


def received_upsert(message: Message, customer: Customer, *, only_lid: bool) -> dict:
    """The same as an upsert, for sessions that subscribed to those too."""
    return {
        "event": "messages.upsert",
        "timestamp": int(time.time()),
        "data": {"messages": [_incoming(message, customer, only_lid)]},
    }


def sent(message: Message) -> dict:
    """The echo of a message that the session itself sent."""
    return {
        "event": "message.sent",
        "timestamp": int(time.time()),
        "data": {"success": True, "status": "sent", **_outgoing(message)},
    }


def sent_upsert(message: Message) -> dict:
    """The same echo as an upsert."""
    return {
        "event": "messages.upsert",
        "timestamp": int(time.time()),
        "data": {"messages": [_outgoing(message)]},
    }


def status_changed(session: Session, message: Message, status: Status) -> dict:
    return {
        "event": "messages.update",
        "sessionId": session.api_key,
        "data": {"update": {"status": int(status)}, "key": _own_key(message)},
        "timestamp": int(time.time() * 1000),
    }


def withdrawn(message: Message) -> dict:
    """The customer deleted a message for everyone."""
    key = {"id": message.key_id, "fromMe": False, "remoteJid": message.jid}
    return {"event": "messages.delete", "timestamp": int(time.time()), "data": {"keys": [key]}}


def session_status(session: Session) -> dict:
    return {
        "event": "session.status",
        "sessionId": session.api_key,
        "data": {"status": session.status},
        "timestamp": int(time.time()),
    }


def qr_code(session: Session) -> dict:
    return {
        "event": "qrcode.updated",
        "sessionId": session.api_key,
        "data": {"qr": session.qr_code},
        "timestamp": int(time.time()),
    }


def message_info(message: Message) -> dict:
    """What `GET /messages/{msgId}/info` says about a message."""
    return {
        "remoteJid": message.jid,
        "id": message.key_id,
        "msgId": message.id,
        "key": _own_key(message),
        "message": message.content,
        "messageTimestamp": str(int(message.said_at)),
        "status": int(message.status),
    }


def _incoming(message: Message, customer: Customer, only_lid: bool) -> dict:
    key = {"id": message.key_id, "fromMe": False, "remoteJid": message.jid}
    if only_lid:
        key |= {"addressingMode": "lid", "senderLid": customer.lid}
    else:
        key |= {
            "addressingMode": "pn",
            "senderPn": customer.jid,
            "cleanedSenderPn": customer.digits,
            "senderLid": customer.lid,
        }
    return {
        "key": key,
        "pushName": customer.name,
        "messageBody": message.text,
        "message": message.content,
        "messageTimestamp": int(message.said_at),
    }


def _outgoing(message: Message) -> dict:
    return {
        "key": {**_own_key(message), "msgId": message.id},
        "message": message.content,
        "messageTimestamp": int(message.said_at),
    }


def _own_key(message: Message) -> dict:
    return {"id": message.key_id, "fromMe": message.from_business, "remoteJid": message.jid}
