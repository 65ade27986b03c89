"""A provider that hands out files."""

import io

import pytest

from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.providers.base import Media as Fetched
from tests.messaging.files import Source, picture


@pytest.fixture
def source(monkeypatch) -> Source:
    """The Wasender adapter with its one outgoing call replaced."""
    adapter = provider_of("wasender")
    found = Source(content=picture())

    def fetch_media(reference, via, *, limit):
        found.calls.append(reference)
        if found.error is not None:
            raise found.error
        return Fetched(io.BytesIO(found.content), len(found.content), found.mime_type)

    monkeypatch.setattr(adapter, "fetch_media", fetch_media, raising=False)
    monkeypatch.setattr(adapter, "supports", adapter.supports | {Feature.MEDIA}, raising=False)
    return found
