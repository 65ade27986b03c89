"""Green-API's servers, as strict as its documentation: methods, fields, states, limits, errors."""

import base64
from typing import Any

from tests.fakes.serving import Limits, Refused, Request, serve

ID = "1101000001"
TOKEN = "d75b3a66374942c5b3c019c698abc2067e151558acbd412345"
CHAT = ("@c.us", "@g.us", "@lid")
PICTURE = base64.b64encode(b"\x89PNG a code").decode()

# What each method must be given; with `chatId` it is checked as an address.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "sendMessage": ("chatId", "message"),
    "sendFileByUrl": ("chatId", "urlFile", "fileName"),
    "sendLocation": ("chatId", "latitude", "longitude"),
    "sendContact": ("chatId", "contact"),
    "sendPoll": ("chatId", "message", "options"),
    "sendReaction": ("chatId", "idMessage", "reaction"),
    "editMessage": ("chatId", "idMessage", "message"),
    "deleteMessage": ("chatId", "idMessage"),
    "readChat": ("chatId",),
    "downloadFile": ("chatId", "idMessage"),
    "setSettings": (),
}
_READ = (
    "getStateInstance",
    "getSettings",
    "qr",
    "reboot",
    "logout",
    "lastIncomingMessages",
    "lastOutgoingMessages",
)
_SENDS = ("sendMessage", "sendFileByUrl", "sendLocation", "sendContact", "sendPoll")
_LIMITS = {
    **dict.fromkeys(_SENDS, 50),
    **dict.fromkeys(_READ, 1),
    "setSettings": 1,
    "qr": 3,
    "downloadFile": 5,
    "deleteMessage": 10,
    "readChat": 10,
}
_LONGEST_TEXT = 20_000


class State:
    """One instance: what it is set to, what it was told, what it keeps."""

    def __init__(self) -> None:
        self.limits = Limits(_LIMITS)
        self.state = "authorized"
        self.settings: dict[str, Any] = {}
        self.spent = False
        self.expired = False
        self.keeps_settings = True
        self.incoming: list[dict[str, Any]] = []
        self.outgoing: list[dict[str, Any]] = []
        self.files: dict[str, str] = {}
        self.sent = 0


STATE = State()


def answer(request: Request) -> Any:
    """The answer to one request, or `Refused`."""
    if request.path.startswith("/files/"):
        return _file(request.path.removeprefix("/files/"))
    method = _authorised_method(request)
    if method == "sendFileByUpload" and request.method == "POST":
        return _upload(request)
    if method in _READ and request.method == "GET":
        STATE.limits.use(method)
        return _READERS[method](request)
    if method in _REQUIRED and request.method == "POST":
        STATE.limits.use(method)
        return _do(method, _checked(method, request.json()))
    raise Refused(404, {"message": "Not Found"})


def _authorised_method(request: Request) -> str:
    parts = request.path.strip("/").split("/")
    if len(parts) != 3 or not parts[0].startswith("waInstance"):
        raise Refused(404, {"message": "Not Found"})
    if parts[0] != f"waInstance{ID}":
        raise Refused(403, {"message": "Forbidden"})
    if parts[2] != TOKEN:
        raise Refused(401, {"message": "Unauthorized"})
    if STATE.expired:
        said = "Instance account is expired. Renew your instance from personal area"
        raise Refused(400, {"message": said})
    return parts[1]


def _checked(method: str, body: dict[str, Any]) -> dict[str, Any]:
    for name in _REQUIRED[method]:
        if body.get(name) in (None, "") and name != "reaction":
            raise Refused(400, {"message": f"Validation failed. Details: '{name}' is required"})
    chat = body.get("chatId")
    if chat is not None and not str(chat).endswith(CHAT):
        raise Refused(400, {"message": "Validation failed. Details: 'chatId' is not valid"})
    if len(str(body.get("message", ""))) > _LONGEST_TEXT:
        raise Refused(400, {"message": "Validation failed. Details: 'message' is too long"})
    if method == "sendPoll" and not 2 <= len(body["options"]) <= 12:
        raise Refused(400, {"message": "Validation failed. Details: 'options' length"})
    if method == "sendContact" and not isinstance(body["contact"].get("phoneContact"), int):
        raise Refused(400, {"message": "Validation failed. Details: 'phoneContact' is required"})
    return body


def _do(method: str, body: dict[str, Any]) -> Any:
    if method == "setSettings":
        return _keep_settings(body)
    if method == "downloadFile":
        return _link(body)
    if method in ("editMessage", "deleteMessage", "readChat", "sendReaction"):
        if STATE.state != "authorized":
            raise Refused(400, {"message": "instance is starting or not authorized"})
        return {"idMessage": body.get("idMessage", ""), "setRead": True}
    return _queue(method, body)


def _queue(method: str, body: dict[str, Any]) -> dict[str, str]:
    """Taken even while nobody has scanned the code: it waits a day."""
    _refuse_what_is_spent()
    STATE.sent += 1
    message_id = f"GREEN{STATE.sent}"
    STATE.outgoing.append(
        {
            "type": "outgoing",
            "idMessage": message_id,
            "timestamp": 1760000000 + STATE.sent,
            "typeMessage": "extendedTextMessage",
            "chatId": body["chatId"],
            "textMessage": body.get("message", ""),
            "extendedTextMessage": {"text": body.get("message", "")},
            "statusMessage": "sent",
            "sendByApi": True,
        }
    )
    return {"idMessage": message_id}


def _refuse_what_is_spent() -> None:
    if STATE.spent:
        status = {
            "method": "correspondents",
            "used": 3,
            "total": 3,
            "status": "CORRESPONDENTS_QUOTE_EXCEEDED",
            "description": "Monthly quota has been exceeded.",
        }
        raise Refused(466, {"correspondentsStatus": status})


def _upload(request: Request) -> dict[str, str]:
    parts = request.form()
    for name in ("chatId", "fileName", "file"):
        if name not in parts:
            raise Refused(400, {"message": f"Validation failed. Details: '{name}' is required"})
    if not parts["file"][0]:
        raise Refused(400, {"message": "Validation failed. Details: 'file' has no name"})
    body = {name: content.decode() for name, (_, content) in parts.items() if name != "file"}
    _checked("deleteMessage", {"chatId": body["chatId"], "idMessage": "-"})
    STATE.files[parts["file"][0]] = parts["file"][1].decode("latin-1")
    return {
        **_queue("sendFileByUpload", body),
        "urlFile": f"{request.host}/files/{body['fileName']}",
    }


def _link(body: dict[str, Any]) -> dict[str, str]:
    url = STATE.files.get(body["idMessage"])
    if url is None:
        raise Refused(400, {"message": "File message encrypted url not found"})
    return {"downloadUrl": url}


def _file(name: str) -> bytes:
    content = STATE.files.get(name)
    if content is None:
        raise Refused(404, {"message": "NoSuchKey"})
    return content.encode("latin-1")


def _keep_settings(body: dict[str, Any]) -> dict[str, bool]:
    for name, value in body.items():
        if name not in ("webhookUrl", "webhookUrlToken") and value not in ("yes", "no"):
            raise Refused(
                400, {"message": f"Validation failed. Details: '{name}' must be yes or no"}
            )
    if STATE.keeps_settings:
        STATE.settings |= body
    return {"saveSettings": True}


def _code(request: Request) -> dict[str, str]:
    if STATE.state == "authorized":
        return {"type": "alreadyLogged", "message": "instance account already authorized"}
    if STATE.state == "starting":
        return {"type": "error", "message": "instance in starting process try later"}
    return {"type": "qrCode", "message": PICTURE}


def _reboot(request: Request) -> dict[str, bool]:
    STATE.state = "starting"
    return {"isReboot": True}


def _logout(request: Request) -> dict[str, bool]:
    STATE.state = "notAuthorized"
    return {"isLogout": True}


_READERS = {
    "getStateInstance": lambda request: {"stateInstance": STATE.state},
    "getSettings": lambda request: {"wid": "", "incomingWebhook": "no", **STATE.settings},
    "qr": _code,
    "reboot": _reboot,
    "logout": _logout,
    "lastIncomingMessages": lambda request: list(reversed(STATE.incoming)),
    "lastOutgoingMessages": lambda request: list(reversed(STATE.outgoing)),
}


if __name__ == "__main__":
    serve(STATE, answer)
