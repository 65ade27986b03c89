"""Who is meant: from what a provider or a person wrote to a lead's identity."""

from dataclasses import dataclass

import phonenumbers
from django.db import transaction

from messaging.events import Person
from messaging.models import Lead, LeadIdentity

Kind = LeadIdentity.Kind


class NotAnAddress(ValueError):
    """The text is no phone number or e-mail address."""


@dataclass(frozen=True)
class Address:
    """One way to reach somebody, in the one form we keep it in."""

    kind: str
    value: str


def as_phone(text: str, country: str) -> str:
    """A phone number as E.164; numbers without a country code get the tenant's country.

    Raises `NotAnAddress` when it cannot be a number anywhere.
    """
    written = text.strip()
    digits = "".join(character for character in written if character.isdigit())
    for attempt, region in ((written, country), (f"+{digits}", None)):
        try:
            number = phonenumbers.parse(attempt, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise NotAnAddress(text)


def as_told_phone(text: str) -> str:
    """A number as a provider tells it: international digits with or without `+`.

    Providers know their numbers, so what no numbering plan lists is kept as it is.
    """
    digits = "".join(character for character in text if character.isdigit())
    return f"+{digits}" if digits else ""


def as_address(text: str, country: str) -> Address:
    """What a person typed as the recipient: an e-mail address or a phone number."""
    written = text.strip()
    if "@" in written:
        local, _, host = written.rpartition("@")
        if not local or "." not in host or any(c.isspace() for c in written):
            raise NotAnAddress(text)
        return Address(Kind.EMAIL, written.lower())
    return Address(Kind.PHONE, as_phone(written, country))


def addresses_of(person: Person) -> list[Address]:
    """The identities a provider gives for somebody, the surest first."""
    told = [
        Address(Kind.PHONE, as_told_phone(person.phone)),
        Address(Kind.LID, person.lid),
        Address(Kind.BSUID, person.bsuid),
        Address(Kind.EMAIL, person.email.lower()),
    ]
    return [address for address in told if address.value]


def lead_for(addresses: list[Address], *, name: str = "", by=None) -> tuple[Lead, bool]:
    """The lead with any of these identities, made where there is none: (lead, is new).

    Every address is the lead's afterwards. Two processes asking at once get the same lead:
    the unique identity decides, and who loses takes the winner's.
    """
    known = leads_with(addresses)
    if known:
        lead = known[0]
        _add_missing(lead, addresses)
        return lead, False
    try:
        with transaction.atomic():
            lead = Lead.objects.create(name=name[:200], owner=by)
            _claim(lead, addresses)
            return lead, True
    except _TakenMeanwhile:
        return lead_for(addresses, name=name, by=by)


def leads_with(addresses: list[Address]) -> list[Lead]:
    """The distinct leads that own any of these identities, in the order of the addresses."""
    if not addresses:
        return []
    found = LeadIdentity.objects.filter(
        kind__in={address.kind for address in addresses},
        value__in={address.value for address in addresses},
    ).select_related("lead")
    by_address = {(identity.kind, identity.value): identity.lead for identity in found}
    leads: list[Lead] = []
    for address in addresses:
        lead = by_address.get((address.kind, address.value))
        if lead is not None and lead not in leads:
            leads.append(lead)
    return leads


class _TakenMeanwhile(Exception):
    """Another process took one of the identities first."""


def _claim(lead: Lead, addresses: list[Address]) -> None:
    _add_missing(lead, addresses)
    owned = LeadIdentity.objects.filter(lead=lead).count()
    if owned < len(set(addresses)):
        raise _TakenMeanwhile


def _add_missing(lead: Lead, addresses: list[Address]) -> None:
    LeadIdentity.objects.bulk_create(
        [LeadIdentity(lead=lead, kind=each.kind, value=each.value) for each in addresses],
        ignore_conflicts=True,
    )
