"""Twilio's signatures: over the public URL and every parameter of the form.

`X-Twilio-Signature` is the Base64 of an HMAC over the URL as Twilio was given it, query included,
followed by each parameter's name and value in the order of the names; several values of one name
count once each, sorted, and blank ones count too (Python SDK, request_validator). Two forms:

| header X-Twilio-Webhooks-Signature-Settings | hash | secret |
|---|---|---|
| absent | SHA-1 | the account's auth token |
| `key=<id>,algorithm=HMAC_SHA256` | SHA-256 | the shared key with that id |

An instance with a shared key takes the second form alone: a post without the header is not a
reason to trust the weaker one. The port of the URL may be written or not; a JSON body is signed
by its SHA-256 in the query instead of parameters.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from messaging.providers.base import BadPayload, BadSignature, Candidate, Hook
from messaging.providers.signatures import same

from .form import Form, read_form

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
_SHA256 = "HMAC_SHA256"
_BODY_HASH = "bodySHA256"
_PORTS = {"https": 443, "http": 80}


def signed_by(hook: Hook, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates one of whose secrets signed this post; `BadSignature` when it has none."""
    given = hook.headers.get(SIGNATURE, "")
    if not given:
        raise BadSignature("missing")
    texts = _signed_texts(hook)
    announced = _announced(hook.headers.get(SETTINGS))
    return [each for each in candidates if _signed(each, given, texts, announced)]


def signature(secret: str, url: str, form: Form, algorithm: str = "sha1") -> str:
    """What Twilio signs this URL and form with."""
    return _digest(secret, _text(url, form), algorithm)


def _signed(
    candidate: Candidate, given: str, texts: list[bytes], announced: Mapping[str, str] | None
) -> bool:
    secret_name, algorithm = _form_of(candidate, announced)
    # Every secret and spelling is tried, so that the time taken does not say which was near.
    results = [
        same(given, _digest(secrets.get(secret_name, ""), text, algorithm))
        for secrets in candidate.secret_sets
        for text in texts
    ]
    return bool(algorithm) and any(results)


def _form_of(candidate: Candidate, announced: Mapping[str, str] | None) -> tuple[str, str]:
    """Which secret and hash an instance's posts must have; no hash where this one has another
    form, key or algorithm."""
    shared_key = str(candidate.settings.get("shared_key_id") or "")
    if not shared_key:
        return "auth_token", "sha1" if announced is None else ""
    is_ours = announced == {"key": shared_key, "algorithm": _SHA256}
    return "shared_key_secret", "sha256" if is_ours else ""


def _announced(header: str | None) -> dict[str, str] | None:
    """What the settings header says; None where there is no such header."""
    if header is None:
        return None
    pairs = (part.partition("=") for part in header.split(","))
    return {name.strip(): value.strip() for name, _sign, value in pairs}


def _signed_texts(hook: Hook) -> list[bytes]:
    return [_text(url, _signed_form(hook)) for url in _spellings(hook.url)]


def _signed_form(hook: Hook) -> Form:
    """The parameters that are part of what was signed; none where the query vouches for the
    body."""
    hashes = parse_qs(hook.query).get(_BODY_HASH, [])
    if hashes and not hook.content_type.startswith("application/x-www-form-urlencoded"):
        if not same(hashes[0].lower(), hashlib.sha256(hook.body).hexdigest()):
            raise BadSignature("body")
        return Form(())
    try:
        return read_form(hook.body)
    except BadPayload as error:
        raise BadSignature("unreadable") from error


def _text(url: str, form: Form) -> bytes:
    told = "".join(name + value for name, value in sorted(set(form.pairs)))
    return (url + told).encode("utf-8", "surrogateescape")


def _spellings(url: str) -> list[str]:
    """The URL as it is, and with its port written or left out."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [url]
    host = parts.netloc.rpartition(":")[0] if port else parts.netloc
    other = host if port else f"{host}:{_PORTS.get(parts.scheme, 443)}"
    return [url, parts._replace(netloc=other).geturl()]


def _digest(secret: str, text: bytes, algorithm: str) -> str:
    """The signature; "" without a secret, which nothing may match."""
    if not secret or not algorithm:
        return ""
    key = secret.encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(key, text, algorithm).digest()).decode("ascii")
