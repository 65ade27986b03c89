"""The files of received MMS: behind the account's own keys, then wherever Twilio keeps them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from messaging.providers.base import Blame, Media, SendError, Via
from messaging.providers.exchange import download
from messaging.providers.reading import text

from .calls import api_url, credentials, refusal


def fetch_media(reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    """The file behind a `MediaUrl`. Our keys go to the API alone, not to where it sends us."""
    url = text(reference.get("url"))
    auth = credentials(via) if _is_api(url, via) else None
    return download(via, url, limit=limit, refusal=refusal, auth=auth, follow_redirects=True)


def _is_api(url: str, via: Via) -> bool:
    """Whether this is the API itself; an address that is not Twilio's at all is refused."""
    try:
        asked, own = urlsplit(url), urlsplit(api_url(via))
    except ValueError as error:
        raise SendError("bad_media_url", blame=Blame.PROVIDER) from error
    host = asked.hostname or ""
    if (asked.scheme, asked.netloc) == (own.scheme, own.netloc):
        return True
    if asked.scheme != "https" or not host.endswith((".twilio.com", ".twiliocdn.com")):
        raise SendError("bad_media_url", blame=Blame.PROVIDER)
    return host.startswith("api.") and host.endswith(".twilio.com")
