"""Small things that stand in many places of a page: faces, ticks, moments, last words.

Lists hold dozens of them, so each is drawn here in one go; what does not depend on a conversation
is drawn once for each language.
"""

from functools import lru_cache

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from amda.templatetags.looks import icon
from messaging.templatetags import saying

register = template.Library()

EMPTY = mark_safe("")


@register.simple_tag
def avatar(name: str, instead: str = "person") -> SafeString:
    """A round picture: the initials of a name, or the icon `instead` where there are none."""
    return _avatar(saying.initials(name) or icon(instead))


@register.simple_tag
def face(conversation) -> SafeString:
    """The round picture of who a conversation is with: one person, or a group."""
    return avatar("", "group") if conversation.is_group else avatar(conversation.lead.name)


@register.simple_tag
def vip_mark(lead) -> SafeString:
    """The star of a VIP, nothing beside anybody else."""
    return _vip_mark(get_language()) if lead.is_vip else EMPTY


@register.simple_tag
def tick(status: str, look: str = "tick") -> SafeString:
    """How far one of our messages came; a word for screen readers and on hover."""
    return _tick(status, look, get_language())


@register.simple_tag
def last_message(conversation) -> SafeString:
    """What was said last in a conversation: its text, else what it is."""
    kind, said = conversation.last_message_kind, conversation.last_message_snippet
    if kind == "deleted":
        inside = format_html("{} {}", icon("trash"), _("Message deleted"))
    elif kind and kind != "text":
        inside = format_html("{} {}", icon(saying.kind_icon(kind)), said or saying.kind_word(kind))
    else:
        inside = said or _("Message without text")
    return format_html('<bdi class="snippet">{}</bdi>', inside)


@register.simple_tag
def acts(entry) -> SafeString:
    """The buttons to answer a message and to do something with it; nothing where one can do
    neither."""
    if entry.may_be_changed:
        return _act(_dialog(entry.message.pk), _changing(get_language()))
    found = EMPTY
    if entry.may_be_quoted:
        before = format_html('data-quote="{}"', entry.message.external_id)
        found += _act(before, _answering(get_language()))
    if entry.may_be_reacted_to:
        before = format_html("data-reacts {}", _dialog(entry.message.pk))
        found += _act(before, _reacting(get_language()))
    return found


def draft(text: str) -> SafeString:
    """What somebody began to write."""
    begun = Truncator(text).chars(120)
    label = _("Draft:")
    return format_html('<bdi class="snippet"><span class="draft">{}</span> {}</bdi>', label, begun)


@register.simple_tag
def when(moment) -> SafeString:
    """How long ago, up to a day; then the date. The whole of it on hover."""
    zone, language = timezone.get_current_timezone_name(), get_language()
    if ago := saying.ago(moment):
        return _time(moment, ago, zone, language)
    return _dated(moment, saying.is_long_past(moment), zone, language)


@register.simple_tag
def at_time(moment) -> SafeString:
    """The time of day. The whole of it on hover."""
    return _at_time(moment, timezone.get_current_timezone_name(), get_language())


def _act(leads_to: SafeString, named: SafeString) -> SafeString:
    opening = mark_safe('<button class="icon-button bubble-act" type="button" ')
    return opening + leads_to + named


def _dialog(pk: int) -> SafeString:
    return format_html('data-dialog="{}" aria-haspopup="dialog"', _acts_page(pk))


@lru_cache
def _reacting(_language: str) -> SafeString:
    return _named(_("React to this message"), "reaction")


@lru_cache
def _changing(_language: str) -> SafeString:
    return _named(_("Answer, change or withdraw this message"), "more")


@lru_cache
def _answering(_language: str) -> SafeString:
    return _named(_("Answer this message"), "reply")


def _named(word: str, picture: str) -> SafeString:
    """The rest of a button that is an icon."""
    return format_html(' aria-label="{0}" title="{0}">{1}</button>', word, icon(picture))


# Putting an address together takes longer than the rest of a button.
@lru_cache(maxsize=4096)
def _acts_page(pk: int) -> str:
    return reverse("messaging:message_acts", args=[pk])


@lru_cache(maxsize=4096)
def _avatar(inside: str) -> SafeString:
    return format_html('<span class="avatar" aria-hidden="true">{}</span>', inside)


@lru_cache
def _vip_mark(_language: str) -> SafeString:
    return format_html(
        '<span class="vip-mark" title="{}">{}{}</span>',
        _("VIP: messages to this lead leave first"),
        icon("star-full"),
        _("VIP"),
    )


@lru_cache
def _tick(status: str, look: str, _language: str) -> SafeString:
    word = saying.tick_word(status)
    return format_html(
        '<span class="{}" data-tick="{}" title="{}">{}</span>',
        look,
        status,
        word,
        icon(saying.tick_icon(status), word),
    )


# Lists and conversations are drawn anew with each event, mostly with the same moments in them.
@lru_cache(maxsize=4096)
def _dated(moment, with_year: bool, zone: str, language: str) -> SafeString:
    return _time(moment, saying.short_date(moment, with_year), zone, language)


@lru_cache(maxsize=4096)
def _at_time(moment, _zone: str, _language: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        saying.full(moment),
        saying.clock(moment),
    )


@lru_cache(maxsize=4096)
def _time(moment, words: str, _zone: str, _language: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        moment.isoformat(),
        saying.full(moment),
        words,
    )
