"""Small pieces every screen is made of."""

from functools import cache, lru_cache

from django import template
from django.template.loader import get_template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext

register = template.Library()

# In this order: most browsers also claim to be the ones below them.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS X": "Mac",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@register.simple_tag
def icon(name: str, label: str = ""):
    """An icon of the sprite: decoration, or with a label something a screen reader says."""
    return _drawn(name, str(label))


# A page holds dozens of icons, of a few kinds.
@lru_cache(maxsize=1024)
def _drawn(name: str, label: str) -> SafeString:
    address = f"{static('icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>',
            label,
            address,
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', address)


@register.simple_tag
def unchanging(name: str):
    """A template that says the same on every page, rendered once for each language."""
    return _rendered_once(name, get_language())


@cache
def _rendered_once(name: str, language: str) -> SafeString:
    return get_template(name).render()


@register.filter
def device(user_agent: str) -> str:
    """What a browser says of itself, in the words of whoever uses it: "Firefox · Windows"."""
    known = [_first_named(user_agent, names) for names in (_BROWSERS, _SYSTEMS)]
    return " · ".join(name for name in known if name) or gettext("Unknown device")


def _first_named(user_agent: str, names: dict[str, str]) -> str:
    return next((name for mark, name in names.items() if mark in user_agent), "")
