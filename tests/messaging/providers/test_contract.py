"""Every registered provider keeps the contract."""

import pytest

from messaging import providers
from tests.contract import CHECKS
from tests.messaging.providers.kits import KITS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("slug", providers.REGISTRY)
def test_contract(slug, check):
    check(providers.get(slug), KITS[slug])


def test_a_provider_is_found_by_its_slug():
    assert [provider.slug for provider in providers.every()] == list(providers.REGISTRY)

    with pytest.raises(providers.UnknownProvider):
        providers.get("carrier_pigeon")
