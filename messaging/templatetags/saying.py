"""How leads, times, kinds and outcomes are put into words."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import phonenumbers
from django import template
from django.utils import formats, timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from messaging import optouts, templates
from messaging.addressing import Kind as AddressKind
from messaging.events import Kind
from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import Blame
from tenants.models import ProviderInstance

register = template.Library()

Status = Message.Status

KIND_WORDS = {
    Kind.IMAGE: gettext_lazy("Picture"),
    Kind.VIDEO: gettext_lazy("Video"),
    Kind.AUDIO: gettext_lazy("Audio file"),
    Kind.VOICE: gettext_lazy("Voice message"),
    Kind.DOCUMENT: gettext_lazy("Document"),
    Kind.STICKER: gettext_lazy("Sticker"),
    Kind.LOCATION: gettext_lazy("Location"),
    Kind.CONTACT: gettext_lazy("Contact card"),
    Kind.POLL: gettext_lazy("Poll"),
    Kind.REACTION: gettext_lazy("Reaction"),
    Kind.PLACEHOLDER: gettext_lazy("A message that cannot be shown here yet"),
}

TICKS = {
    Status.QUEUED: ("clock", gettext_lazy("Waiting to be sent")),
    Status.SENDING: ("send", gettext_lazy("Being sent")),
    Status.UNKNOWN: ("question", gettext_lazy("Perhaps sent")),
    Status.SENT: ("check", gettext_lazy("Sent")),
    Status.DELIVERED: ("checks", gettext_lazy("Delivered")),
    Status.READ: ("checks", gettext_lazy("Read")),
    Status.PLAYED: ("checks", gettext_lazy("Played")),
    Status.FAILED: ("alert", gettext_lazy("Not sent")),
}

BLAMES = {
    Blame.RECIPIENT: gettext_lazy("This recipient cannot be reached at this address."),
    Blame.MESSAGE: gettext_lazy("The text was not accepted. Change it and send it again."),
    Blame.ACCOUNT: gettext_lazy(
        "Your number may not send at the moment. An administrator can check its connection."
    ),
    Blame.PROVIDER: gettext_lazy("The message service did not take it. Try again in a moment."),
}

# What was not even tried.
OURS = {
    optouts.CODE: gettext_lazy("This contact asked for no more messages before this one left."),
}

CHANGE_REFUSALS = {
    "not_found": gettext_lazy("The message service no longer knows it."),
    "recipient": gettext_lazy("The message service no longer knows it."),
    "instance_gone": gettext_lazy("The number it left from is no longer connected."),
    "no_answer": gettext_lazy("The message service did not answer. Please try again."),
}

MISSING = {
    "too_large": gettext_lazy("This file is too large to be kept here. It is on the phone."),
    "view_once": gettext_lazy("To be seen once, on the phone. It is not kept here."),
    "expired": gettext_lazy("The message service no longer has this file."),
    "instance_gone": gettext_lazy("The number it came to is no longer connected."),
    "unauthorized": gettext_lazy(
        "Your number may not get files at the moment. An administrator can check its connection."
    ),
}

ORIGINS = {
    Message.Origin.PERSON: gettext_lazy("Somebody who left the team"),
    Message.Origin.AUTOMATION: gettext_lazy("Automatic message"),
    Message.Origin.CAMPAIGN: gettext_lazy("Campaign"),
    Message.Origin.API: gettext_lazy("Sent by a program"),
    Message.Origin.PHONE: gettext_lazy("Written on the phone"),
    Message.Origin.CRM: gettext_lazy("Sent from the CRM"),
}

DOWN = {
    ProviderInstance.State.DISCONNECTED: gettext_lazy(
        "This number is disconnected: your messages wait until it is back."
    ),
    ProviderInstance.State.PENDING: gettext_lazy(
        "This number is not connected yet: your messages wait until it is."
    ),
    ProviderInstance.State.CONFLICT: gettext_lazy(
        "This number is in use elsewhere: your messages may have to wait."
    ),
    ProviderInstance.State.BLOCKED: gettext_lazy(
        "This number is blocked: nothing can be sent from it at the moment."
    ),
}

# WhatsApp's own address domains: of groups and channels, and of people who hide their number.
_MANY = ("g.us", "newsletter")
_HIDDEN = ("", "lid")


CATEGORIES = {
    "marketing": gettext_lazy("Marketing"),
    "utility": gettext_lazy("Utility"),
    "authentication": gettext_lazy("Authentication"),
}
LANGUAGES = {"fr": gettext_lazy("French"), "en": gettext_lazy("English")}
WHERE = {"header": gettext_lazy("Heading %(name)s"), "body": gettext_lazy("Text %(name)s")}
FILE_HEADS = {
    Kind.IMAGE: gettext_lazy("Picture at its head"),
    Kind.VIDEO: gettext_lazy("Video at its head"),
    Kind.DOCUMENT: gettext_lazy("Document at its head"),
}


@register.filter
def pretty(address: str) -> str:
    """A number with its groups, a mail address as it is, in words what only a machine can use."""
    if not address.startswith("+"):
        return _in_words(address)
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return address
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


@register.filter
def named(conversation) -> str:
    """Who a conversation is with: the lead's name, else the address it is reached at."""
    return conversation.lead.name or _told_apart(conversation.peer, conversation.lead_id)


@register.filter
def lead_named(lead) -> str:
    """A lead's name, else an address people can read, else its number among the leads."""
    if lead.name:
        return lead.name
    values = [identity.value for identity in lead.identities.all()]
    if not values:
        return str(lead)
    return _told_apart(next((each for each in values if _is_readable(each)), values[0]), lead.pk)


@register.filter
def initials(name) -> str:
    """One or two letters for a round picture; nothing where the name has no letters."""
    words = [word for word in str(name).split() if word[0].isalpha()]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words))


@register.filter
def number_name(numbers, instance_id) -> str:
    """What the team calls one of its numbers."""
    number = numbers.get(instance_id)
    return called(number) if number else _("a number that was removed")


@register.filter
def called(number) -> str:
    """A number's label, else the number itself."""
    return number.label or pretty(number.address)


@register.filter
def why_down(number) -> str:
    """What a number that is not connected means for whoever writes."""
    return DOWN.get(number.state, "")


@register.filter
def provider_label(number) -> str:
    """What the number's provider is called."""
    return provider_of(number.provider).label


@register.filter
def medium_icon(number) -> str:
    """The icon of the way a number's messages travel."""
    return provider_of(number.provider).medium.value


@register.filter
def up_to_99(count: int) -> str:
    """A count that keeps its place: 99+ from a hundred on."""
    return str(count) if count < 100 else "99+"


@register.filter
def full(moment) -> str:
    """Day and time, in the tenant's time zone."""
    return _written(moment, timezone.get_current_timezone_name(), get_language())


@lru_cache(maxsize=4096)
def _written(moment, zone: str, language: str) -> str:
    return formats.date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def clock(moment) -> str:
    """The time of day, in the tenant's time zone."""
    return formats.time_format(timezone.localtime(moment), "TIME_FORMAT")


@register.filter
def day_name(day) -> str:
    """Today, yesterday, else the weekday and the date."""
    return _day_name(day, (timezone.localdate() - day).days, get_language())


@lru_cache(maxsize=4096)
def _day_name(day, days: int, _language: str) -> str:
    if days in (0, 1):
        return (_("Today"), _("Yesterday"))[days]
    # Translators: a date format of Django, for the line between two days of a conversation.
    this_year, other_year = _("l, F j"), _("l, F j, Y")
    written = formats.date_format(day, this_year if days < 300 else other_year)
    return written[:1].upper() + written[1:]


@register.filter
def kind_word(kind: str) -> str:
    """What a message that is no text is; unknown kinds are said to be so."""
    return KIND_WORDS.get(kind, KIND_WORDS[Kind.PLACEHOLDER])


@register.filter
def kind_icon(kind: str) -> str:
    return str(kind) if kind in KIND_WORDS else "placeholder"


def tick_icon(status: str) -> str:
    """The icon of how far one of our messages came."""
    return TICKS[status][0] if status in TICKS else "clock"


def tick_word(status: str) -> str:
    """The same, in words."""
    return TICKS[status][1] if status in TICKS else status


@register.filter
def why_failed(message) -> str:
    """What to make of a failure: what its code says, else whose fault it is."""
    advice = OURS.get(message.error_code) or provider_of(message.provider).advice.get(
        message.error_code
    )
    return advice or BLAMES.get(message.error_blame, BLAMES[Blame.PROVIDER])


def why_not_changed(refusal: Mapping[str, str] | None) -> str:
    """That the message service did not withdraw or change a message; "" where it was not asked."""
    if not refusal:
        return ""
    said = _("Not changed: your contact still has the former words.")
    if refusal["what"] == "withdraw":
        said = _("Not withdrawn: your contact still has this message.")
    why = CHANGE_REFUSALS.get(refusal["code"], _("The message service refused it."))
    return f"{said} {why}"


def why_no_reaction(refusal: Mapping[str, Any] | None) -> str:
    """That the message service did not take a reaction of ours, or its taking back; "" where it
    was not asked."""
    if not refusal:
        return ""
    said = _("Reaction not taken back: your contact still sees it.")
    if refusal["emoji"]:
        said = _("Reaction %(emoji)s not sent: your contact does not see it.")
        said %= {"emoji": refusal["emoji"]}
    why = OURS.get(refusal["code"]) or CHANGE_REFUSALS.get(refusal["code"])
    return f"{said} {why or _('The message service refused it.')}"


@register.filter
def why_missing(file) -> str:
    """Why a file of a message is not here."""
    return MISSING.get(file.error, _("The message service did not hand this file over."))


@register.filter
def author(message) -> str:
    """Who wrote a message. Of ours a person, or where it came from; of a group's the participant;
    nobody of what a conversation's one contact wrote."""
    if message.direction == Message.Direction.IN:
        return message.author_name or (participant(message.author) if message.author else "")
    return str(message.by) if message.by else ORIGINS.get(message.origin, "")


@register.filter
def participant(address: str) -> str:
    """The address of somebody in a group; one that only machines read keeps its last digits, by
    which people without a name are told apart."""
    if _is_readable(address):
        return pretty(address)
    return f"{pretty(address)} …{address.partition('@')[0][-4:]}"


@register.filter
def identity_icon(identity) -> str:
    icons = {AddressKind.EMAIL: "email", AddressKind.PHONE: "phone"}
    return icons.get(identity.kind, "whatsapp")


def _host(address: str) -> str:
    return address.partition("@")[2]


def _is_readable(address: str) -> bool:
    return address.startswith("+") or _host(address) not in (*_MANY, *_HIDDEN)


def _in_words(address: str) -> str:
    if _is_readable(address):
        return address
    return _("WhatsApp group") if _host(address) in _MANY else _("WhatsApp identifier")


def _told_apart(address: str, number: int) -> str:
    """An address as people read it; what reads alike for many has the lead's number beside it."""
    return pretty(address) if _is_readable(address) else f"{pretty(address)} #{number}"


def ago(moment) -> str:
    """How long ago, up to a day; nothing for what is older."""
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 60:
        return _("now")
    if seconds < 3600:
        return _("%(count)d min ago") % {"count": seconds // 60}
    if seconds < 24 * 3600:
        return _("%(count)d h ago") % {"count": seconds // 3600}
    return ""


def is_long_past(moment) -> bool:
    """Whether a day is not understood without its year any more."""
    return (timezone.now() - moment).days >= 300


def short_date(moment, with_year: bool) -> str:
    """The day in few letters."""
    # Translators: date formats of Django, for lists.
    recent, old = _("M j"), _("M j, Y")
    return formats.date_format(timezone.localtime(moment), old if with_year else recent)


@register.filter
def template_facts(template) -> str:
    """The language and the category of a template, in words."""
    language = LANGUAGES.get(template.language.partition("_")[0], template.language)
    category = CATEGORIES.get(template.category, template.category)
    return " · ".join(str(each) for each in (language, category) if each)


@register.filter
def template_sample(template) -> str:
    """What a template says, with examples in its places."""
    return templates.sample(template)


@register.filter
def place_label(place) -> str:
    """Where in a template something is filled in."""
    if place.where in WHERE:
        return WHERE[place.where] % {"name": place.name}
    return _("Button “%(text)s”") % {"text": place.where}


@register.filter
def template_file(kind: str) -> str:
    """The file at the head of a template."""
    return FILE_HEADS[Kind(kind)]


@register.filter
def template_accept(kind: str) -> str:
    """What a browser lets choose for it."""
    return {Kind.IMAGE: "image/jpeg,image/png", Kind.VIDEO: "video/mp4"}.get(Kind(kind), "")
