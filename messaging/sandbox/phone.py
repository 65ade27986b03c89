"""The phone page, and the small JSON it lives on."""

import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .bodies import json_object
from .courier import Courier
from .files import read_upload
from .live import Live
from .outgoing import Invalid
from .simulation import Simulation
from .store import E164, Customer, Delivery, Message, Session, Status, Store
from .words import WORDS, language_of

HERE = Path(__file__).parent
SHOWN_MESSAGES = 200
SHOWN_DELIVERIES = 30
# Between two looks at whether the page is still there.
HEARTBEAT_SECONDS = 1.0

_PAGE = Template((HERE / "phone.html").read_text(encoding="utf-8"))


class Phone:
    """The endpoints of the page; they speak to the simulation, never to the API."""

    def __init__(self, store: Store, simulation: Simulation, courier: Courier, live: Live):
        self._store = store
        self._simulation = simulation
        self._courier = courier
        self._live = live
        self.routes = [
            Route("/", lambda request: RedirectResponse("/phone"), methods=["GET"]),
            Route("/phone", self.page, methods=["GET"]),
            Route("/phone/state", self.state, methods=["GET"]),
            Route("/phone/events", self.events, methods=["GET"]),
            Route("/phone/customers", self.add_customer, methods=["POST"]),
            Route("/phone/customers/{id:int}/power", self.switch, methods=["POST"]),
            Route("/phone/messages", self.say, methods=["POST"]),
            Route("/phone/messages/{id:int}/delete", self.withdraw, methods=["POST"]),
            Route("/phone/sessions/{id:int}/scan", self.scan, methods=["POST"]),
            Route("/phone/deliveries/{id:int}/again", self.post_again, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]

    async def page(self, request: Request) -> HTMLResponse:
        language = language_of(request)
        words = WORDS[language]
        values = {name: html.escape(text) for name, text in words.items()}
        values["language"] = language
        values["other_lang"] = "en" if language == "fr" else "fr"
        values["words"] = html.escape(json.dumps(words, ensure_ascii=False))
        return HTMLResponse(_PAGE.substitute(values), headers={"Content-Language": language})

    async def state(self, request: Request) -> JSONResponse:
        """All that the page shows of one customer and, if one is open, of one chat."""
        customer = self._store.customer(_number(request, "customer"))
        session = self._store.session(_number(request, "session"))
        chats = self._chats()
        return JSONResponse(
            {
                "customers": [_customer_line(one, chats) for one in self._store.customers()],
                "customer": customer and _customer_line(customer, chats),
                "chats": [self._chat_line(one, customer, chats) for one in self._store.sessions()],
                "chat": customer and session and self._chat(customer, session),
                "journal": self._journal(),
            }
        )

    async def events(self, request: Request) -> StreamingResponse:
        """Server-sent events: one line whenever the page should fetch its state again.

        Holding the stream open for a chat means having that chat on the screen.
        """
        stream = self._stream(request, _number(request, "customer"), _number(request, "session"))
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _stream(self, request: Request, customer_id: int, session_id: int) -> AsyncIterator:
        with self._live.watching(customer_id, session_id) as viewer:
            self._simulation.look_at(customer_id, session_id)
            yield "retry: 1000\ndata: changed\n\n"
            while not self._live.closing and not await request.is_disconnected():
                news = await viewer.news(HEARTBEAT_SECONDS)
                yield "data: changed\n\n" if news else ": still here\n\n"

    async def add_customer(self, request: Request) -> JSONResponse:
        body = await _body(request)
        name, phone = str(body.get("name", "")).strip(), str(body.get("phone", ""))
        phone = re.sub(r"[\s().-]", "", phone)
        if not name:
            return _invalid("name")
        if not E164.fullmatch(phone):
            return _invalid("phone")
        customer = self._store.add_customer(name[:80], phone)
        self._live.changed()
        return JSONResponse({"customer": customer.id}, 201)

    async def switch(self, request: Request) -> JSONResponse:
        customer = self._store.customer(request.path_params["id"])
        if customer is None:
            return _missing()
        self._simulation.switch_phone(customer, (await _body(request)).get("on") is True)
        return JSONResponse({})

    async def say(self, request: Request) -> JSONResponse:
        body = await _body(request)
        customer = self._store.customer(_whole(body.get("customer")))
        session = self._store.session(_whole(body.get("session")))
        text = str(body.get("text", "")).strip()
        if customer is None or session is None:
            return _missing()
        try:
            upload = read_upload(body["file"]) if isinstance(body.get("file"), dict) else None
        except Invalid:
            return _invalid("file")
        if not text and upload is None:
            return _invalid("text")
        if not customer.phone_on or not session.connected:
            return JSONResponse({"error": "unreachable"}, 409)
        options = {name: body.get(name) is True for name in ("twice", "late", "only_lid")}
        message = self._simulation.say(customer, session, text, upload=upload, **options)
        return JSONResponse({"message": message.id, "key": message.key_id}, 201)

    async def withdraw(self, request: Request) -> JSONResponse:
        await _body(request)
        message = self._store.message(request.path_params["id"])
        if message is None or message.from_business:
            return _missing()
        self._simulation.withdraw(message)
        return JSONResponse({})

    async def scan(self, request: Request) -> JSONResponse:
        await _body(request)
        session = self._store.session(request.path_params["id"])
        if session is None or session.status != "need_scan":
            return _missing()
        self._simulation.change_status(session, "connected")
        return JSONResponse({})

    async def post_again(self, request: Request) -> JSONResponse:
        await _body(request)
        if not self._courier.post_again(request.path_params["id"]):
            return _missing()
        return JSONResponse({})

    def _journal(self) -> list[dict]:
        return [self._journal_line(one) for one in self._store.latest_deliveries(SHOWN_DELIVERIES)]

    def _journal_line(self, delivery: Delivery) -> dict:
        message = self._store.message(delivery.message_id) if delivery.message_id else None
        to_somebody = message and message.customer_id
        customer = self._store.customer(message.customer_id) if to_somebody else None
        return {
            **_post_line(delivery),
            "event": delivery.event,
            "told": json.loads(delivery.body)["data"].get("update", {}).get("status"),
            "who": customer and customer.name,
            "attempts": delivery.attempts,
            "at": delivery.created_at,
        }

    def _chats(self) -> dict[tuple[int, int], dict]:
        """What lists show of every chat, by customer and session."""
        chats = {}
        for row in self._store.chat_summaries():
            last = self._store.message(row["last_id"]) if row["last_id"] else None
            chats[row["customer_id"], row["session_id"]] = {
                "last": last and _message_line(last, None),
                "unread": row["unread"],
                "waiting": row["waiting"],
            }
        return chats

    def _chat_line(self, session: Session, customer: Customer | None, chats: dict) -> dict:
        nothing = {"last": None, "unread": 0, "waiting": 0}
        chat = chats.get((customer.id, session.id), nothing) if customer else nothing
        return {**_session_line(session), **chat}

    def _chat(self, customer: Customer, session: Session) -> dict:
        newest = self._store.chat(customer.id, session.id, SHOWN_MESSAGES + 1)
        messages = newest[-SHOWN_MESSAGES:]
        # A phone knows nothing of what has not reached it.
        there = [one for one in messages if not one.from_business or one.status >= Status.DELIVERED]
        posts = self._store.delivery_states([one.id for one in there if not one.from_business])
        return {
            **_session_line(session),
            "has_older": len(newest) > SHOWN_MESSAGES,
            "messages": [self._bubble(one, posts.get(one.id)) for one in there],
        }

    def _bubble(self, message: Message, post: Delivery | None) -> dict:
        quoted = self._store.message(message.quoted_id) if message.quoted_id else None
        return {**_message_line(message, post), "quoted": quoted and _message_line(quoted, None)}


def _customer_line(customer: Customer, chats: dict) -> dict:
    mine = [chat for (customer_id, _), chat in chats.items() if customer_id == customer.id]
    said = [chat["last"] for chat in mine if chat["last"]]
    return {
        "id": customer.id,
        "name": customer.name,
        "phone": customer.phone,
        "on": customer.phone_on,
        "unread": sum(chat["unread"] for chat in mine),
        "waiting": sum(chat["waiting"] for chat in mine),
        "last": max(said, key=lambda line: line["id"], default=None),
    }


def _session_line(session: Session) -> dict:
    return {
        "session": session.id,
        "name": session.name,
        "phone": session.phone_number,
        "status": session.status,
    }


def _message_line(message: Message, post: Delivery | None) -> dict:
    return {
        "id": message.id,
        "mine": not message.from_business,
        "kind": message.kind,
        "text": message.text,
        "detail": _detail(message),
        "deleted": message.deleted,
        "status": int(message.status),
        "at": message.said_at,
        "post": post and _post_line(post),
    }


def _post_line(post: Delivery) -> dict:
    return {
        "id": post.id,
        "state": post.state,
        "http_status": post.http_status,
        "problem": post.problem,
    }


def _detail(message: Message) -> str:
    """One line that tells a card, a place or a file apart from others of its kind."""
    part = next(iter(message.content.values()), None)
    if message.kind == "text" or not isinstance(part, dict):
        return ""
    if message.kind == "location":
        position = f"{part['degreesLatitude']}, {part['degreesLongitude']}"
        return " · ".join(each for each in (part["name"], part["address"], position) if each)
    if message.kind == "contact":
        phones = re.findall("^TEL[^:]*:(.+)$", part["vcard"], re.MULTILINE)
        return " · ".join((part["displayName"], *phones))
    if message.kind == "poll":
        options = ", ".join(option["optionName"] for option in part["options"])
        return f"{part['name']} ({options})"
    return part.get("displayName") or part.get("fileName") or part.get("url", "")


async def _body(request: Request) -> dict:
    """The JSON a page sends.

    Only JSON: browsers ask before they send it from a page of somebody else, and get no permission.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "The Content-Type must be application/json.")
    try:
        return json_object(await request.body())
    except ValueError as problem:
        raise HTTPException(400, str(problem)) from problem


def _number(request: Request, name: str) -> int:
    return _whole(request.query_params.get(name))


def _whole(value) -> int:
    """A row number; 0, which no row has, for anything else."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _invalid(name: str) -> JSONResponse:
    return JSONResponse({"error": name}, 422)


def _missing() -> JSONResponse:
    return JSONResponse({"error": "missing"}, 404)
