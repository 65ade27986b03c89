"""An agent at a browser, a folder for files, a provider that hands them out."""

import io

import pytest

from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.providers.base import Media as Fetched
from tests.messaging.files import Source, picture


@pytest.fixture
def browser(client_for, tenant, agent):
    """A browser in which an agent is signed in."""
    return client_for(tenant, agent)


@pytest.fixture
def own_folder(settings, tmp_path):
    """Files are kept in a folder of the test's own."""
    default = settings.STORAGES["default"]
    options = {**default["OPTIONS"], "location": tmp_path}
    settings.STORAGES = {**settings.STORAGES, "default": {**default, "OPTIONS": options}}


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
