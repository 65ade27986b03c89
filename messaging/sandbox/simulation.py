"""What happens to messages: from the business to the phone, from the phone to the business."""

import asyncio
import time

from . import files, payloads
from .background import Background
from .courier import Courier
from .live import Live
from .outgoing import Outgoing, quoting
from .store import Customer, Message, Session, Status, Store

# Long enough to see one tick become two, short enough not to wait for it.
SERVER_SECONDS = 0.15
PHONE_SECONDS = 0.6
LATE_SECONDS = 600


class Simulation:
    """WhatsApp between the sessions and the customers' phones."""

    def __init__(self, store: Store, live: Live, background: Background, courier: Courier):
        self._store = store
        self._live = live
        self._background = background
        self._courier = courier

    # From the business

    def accept(self, session: Session, outgoing: Outgoing, quoted: Message | None) -> Message:
        """Take a message in and say so; what becomes of it is told by webhooks later."""
        content = outgoing.content
        if quoted:
            author = f"{session.phone_number.removeprefix('+')}@s.whatsapp.net"
            content = quoting(content, quoted, author if quoted.from_business else quoted.jid)
        customer = self._customer_at(outgoing.jid)
        message = self._store.add_message(
            session_id=session.id,
            customer_id=customer.id if customer else None,
            jid=outgoing.jid,
            from_business=True,
            kind=outgoing.kind,
            text=outgoing.text,
            content=content,
            quoted_id=quoted.id if quoted else None,
            status=Status.PENDING,
            said_at=time.time(),
        )
        self._background.start(self._carry(message))
        self._live.changed()
        return message

    def edit(self, message: Message, text: str) -> None:
        """The business gives a message another text, which the phone shows from then on."""
        self._store.change_text(message.id, text)
        self._live.changed()

    def take_back(self, message: Message) -> None:
        """The business withdraws a message; the phone keeps a tombstone."""
        self._store.mark_deleted(message.id)
        self._live.changed()

    def read_by_business(self, message: Message) -> None:
        """The customer sees that the business has read this."""
        self._store.raise_status(message.id, Status.READ)
        self._live.changed()

    def resume(self) -> None:
        """Take up what the last run left on its way."""
        for message in self._store.from_business_at(Status.PENDING):
            self._background.start(self._carry(message))
        for customer in self._store.customers():
            if customer.phone_on:
                self._background.start(self._reach_phone(customer.id))

    async def _carry(self, message: Message) -> None:
        await asyncio.sleep(SERVER_SECONDS)
        if not self._take_by_server(message):
            return
        if message.customer_id is not None:
            await self._reach_phone(message.customer_id)

    def _take_by_server(self, message: Message) -> bool:
        """WhatsApp's servers have it: one tick, and the echo that names its key."""
        session = self._store.session(message.session_id)
        if session is None:
            return False
        with self._store.together():
            if not self._store.raise_status(message.id, Status.SENT):
                return False
            posts = [
                *self._tell(session, message, payloads.sent(message)),
                *self._tell(session, message, payloads.sent_upsert(message)),
                *self._tell(
                    session, message, payloads.status_changed(session, message, Status.SENT)
                ),
            ]
        self._courier.post(posts)
        self._live.changed()
        return True

    async def _reach_phone(self, customer_id: int) -> None:
        """Deliver what waits for a phone, if it still is on by then."""
        await asyncio.sleep(PHONE_SECONDS)
        customer = self._store.customer(customer_id)
        if customer is None or not customer.phone_on:
            return
        for message in self._store.from_business_at(Status.SENT, customer_id):
            self._advance(message, Status.DELIVERED)
        for session in self._store.sessions():
            self.look_at(customer_id, session.id)

    def _advance(self, message: Message, status: Status) -> None:
        session = self._store.session(message.session_id)
        with self._store.together():
            if not self._store.raise_status(message.id, status):
                return
            posts = self._tell(session, message, payloads.status_changed(session, message, status))
        self._courier.post(posts)
        self._live.changed()

    # On the phone

    def switch_phone(self, customer: Customer, on: bool) -> None:
        """Turn a phone on or off; what came meanwhile is delivered when it is on again."""
        self._store.switch_phone(customer.id, on)
        self._live.changed()
        if on:
            self._background.start(self._reach_phone(customer.id))

    def look_at(self, customer_id: int, session_id: int) -> None:
        """Mark as read what lies open before the customer; nothing when the chat is not open."""
        customer = self._store.customer(customer_id)
        if not customer or not customer.phone_on or not self._live.shows(customer_id, session_id):
            return
        for message in self._store.from_business_at(Status.DELIVERED, customer_id):
            if message.session_id == session_id:
                self._advance(message, Status.READ)

    def say(
        self,
        customer: Customer,
        session: Session,
        text: str,
        *,
        twice: bool = False,
        late: bool = False,
        only_lid: bool = False,
        upload: files.Upload | None = None,
    ) -> Message:
        """The customer writes to a business; the options imitate what real networks do."""
        now = time.time()
        with self._store.together():
            kind, content = self._content(session, text, upload)
            message = self._store.add_message(
                session_id=session.id,
                customer_id=customer.id,
                jid=customer.lid if only_lid else customer.jid,
                from_business=False,
                kind=kind,
                text=text,
                content=content,
                status=Status.SENT,
                said_at=now - LATE_SECONDS if late else now,
            )
            posts = self._tell_received(session, customer, message, only_lid)
            if twice:
                posts += self._tell_received(session, customer, message, only_lid)
        self._courier.post(posts)
        self._live.changed()
        return message

    def _content(
        self, session: Session, text: str, upload: files.Upload | None
    ) -> tuple[str, dict]:
        if upload is None:
            return "text", {"conversation": text}
        file = self._store.add_file(session.id, upload.mime_type, upload.content)
        return files.content_of(file, upload.name, text)

    def withdraw(self, message: Message) -> None:
        """The customer deletes a message of theirs for everyone."""
        session = self._store.session(message.session_id)
        with self._store.together():
            if not self._store.mark_deleted(message.id):
                return
            posts = self._tell(session, message, payloads.withdrawn(message))
        self._courier.post(posts)
        self._live.changed()

    def _tell_received(
        self, session: Session, customer: Customer, message: Message, only_lid: bool
    ) -> list[int]:
        bodies = (
            payloads.received(message, customer, only_lid=only_lid),
            payloads.received_upsert(message, customer, only_lid=only_lid),
        )
        return [post for body in bodies for post in self._tell(session, message, body)]

    # The session itself

    def change_status(self, session: Session, status: str, qr_code: str | None = None) -> Session:
        """Connect, disconnect or ask for a scan, and tell the webhook."""
        with self._store.together():
            session = self._store.change_session(session.id, status=status, qr_code=qr_code)
            posts = self._tell_session(session, payloads.session_status(session))
            if qr_code:
                posts += self._tell_session(session, payloads.qr_code(session))
        self._courier.post(posts)
        self._live.changed()
        return session

    def _tell(self, session: Session, message: Message, body: dict) -> list[int]:
        lane = f"{session.id}:{message.customer_id or message.jid}"
        return self._courier.write(session, body, lane=lane, message_id=message.id)

    def _tell_session(self, session: Session, body: dict) -> list[int]:
        return self._courier.write(session, body, lane=f"{session.id}")

    def _customer_at(self, jid: str) -> Customer | None:
        """Whose phone an address is; None for groups, newsletters and unknown LIDs."""
        name, _, server = jid.partition("@")
        if server == "s.whatsapp.net":
            return self._store.customer_at(f"+{name}")
        if server == "lid":
            return self._store.customer_of_lid(jid)
        return None
