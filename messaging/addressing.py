"""Who is meant: from what a provider or a person wrote to a lead's identity."""

from dataclasses import dataclass

import phonenumbers
from django.db import transaction
from django.utils import timezone

from messaging import numbering
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

    One in a form that is dialled no more becomes the one that is. Raises `NotAnAddress` when it
    cannot be a number anywhere.
    """
    written = text.strip()
    digits = "".join(character for character in written if character.isdigit())
    for attempt, region in ((written, country), (f"+{digits}", None)):
        try:
            number = phonenumbers.parse(attempt, region)
        except phonenumbers.NumberParseException:
            continue
        told = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        dialled = next((form for form in numbering.forms(told) if _is_dialled(form)), None)
        if dialled:
            return dialled
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


def lead_for(
    addresses: list[Address], *, name: str = "", by=None, is_known: bool = False
) -> tuple[Lead, bool]:
    """The lead with any of these identities, made where there is none: (lead, is new).

    A new one is a sender to be recognised, unless somebody made it or `is_known` says otherwise.
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
            known_since = timezone.now() if by or is_known else None
            lead = Lead.objects.create(name=name[:200], owner=by, recognised_at=known_since)
            _claim(lead, addresses)
            return lead, True
    except _TakenMeanwhile:
        return lead_for(addresses, name=name, by=by, is_known=is_known)


def leads_with(addresses: list[Address]) -> list[Lead]:
    """The distinct leads that own any of these identities, in the order of the addresses.

    A number is found in its other forms, too; who has it as it is written comes first.
    """
    wanted = [same for address in addresses for same in same_as(address)]
    found = LeadIdentity.objects.filter(
        kind__in={address.kind for address in wanted},
        value__in={address.value for address in wanted},
    ).select_related("lead")
    by_address = {Address(identity.kind, identity.value): identity.lead for identity in found}
    return list(dict.fromkeys(by_address[each] for each in wanted if each in by_address))


def add(lead: Lead, addresses: list[Address]) -> None:
    """Make these addresses a lead's, too; one that is another lead's stays there."""
    _add_missing(lead, addresses)


def same_as(address: Address) -> list[Address]:
    """An address in every form it may be written in, as it is written first."""
    if address.kind != Kind.PHONE:
        return [address]
    return [Address(address.kind, form) for form in numbering.forms(address.value)]


class _TakenMeanwhile(Exception):
    """Another process took one of the identities first."""


def _claim(lead: Lead, addresses: list[Address]) -> None:
    _add_missing(lead, addresses)
    owned = LeadIdentity.objects.filter(lead=lead).count()
    if owned < len(set(addresses)):
        raise _TakenMeanwhile


def _add_missing(lead: Lead, addresses: list[Address]) -> None:
    """Give the lead what it does not have yet, noting beside which identity it was told."""
    known = {Address(each.kind, each.value): each for each in lead.identities.all()}
    missing = [each for each in addresses if each not in known]
    if not missing:
        return
    sure = (same for address in addresses for same in same_as(address))
    beside = next((known[each] for each in sure if each in known), None)
    LeadIdentity.objects.bulk_create(
        [
            LeadIdentity(lead=lead, kind=each.kind, value=each.value, told_beside=beside)
            for each in missing
        ],
        ignore_conflicts=True,
    )


def _is_dialled(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(number))
