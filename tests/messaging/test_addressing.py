"""Who is meant: numbers as people write them, and leads made at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from messaging import addressing, outbox
from messaging.models import Conversation, Lead, LeadIdentity, Message
from tenants import context

AT_ONCE = 8


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("70 111 22 33", "SN", "+221701112233"),
        ("+221 70 111 22 33", "FR", "+221701112233"),
        ("00221701112233", "FR", "+221701112233"),
        ("221701112233", "FR", "+221701112233"),
        ("01 99 00 00 12", "FR", "+33199000012"),
    ],
)
def test_phone_is_read_as_people_of_the_country_write_it(written, country, expected):
    assert addressing.as_phone(written, country) == expected


@pytest.mark.parametrize("written", ["", "abc", "12", "+999123456789", "+33"])
def test_text_that_is_no_phone_is_refused(written):
    with pytest.raises(addressing.NotAnAddress):
        addressing.as_phone(written, "FR")


@pytest.mark.parametrize("written", ["@host.fr", "a@host", "a b@host.fr"])
def test_text_that_is_no_address_is_refused(written):
    with pytest.raises(addressing.NotAnAddress):
        addressing.as_address(written, "FR")


def test_lead_asked_for_by_many_at_once_is_made_once(committed):
    tenant = committed("race-shop")

    def write(number: int) -> None:
        try:
            with context.entered(tenant):
                outbox.start("+221701112233", f"Bonjour {number}", origin="api")
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(write, range(AT_ONCE)))

    with context.entered(tenant):
        assert Lead.objects.count() == 1
        assert LeadIdentity.objects.count() == 1
        assert Conversation.objects.count() == 1
        assert Message.objects.count() == AT_ONCE
