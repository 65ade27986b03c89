"""What facts about messages are called on a page."""

from django import template

from messaging import providers, told

register = template.Library()


@register.filter
def medium_named(medium: str) -> str:
    """What people call the way a message travels."""
    return str(told.MEDIA[medium])


@register.filter
def provider_named(provider: str) -> str:
    """What the provider calls itself."""
    return str(providers.get(provider).label)


@register.filter
def status_named(status: str) -> str:
    """What became of a message; a status without a word of ours says itself."""
    return str(told.STATUSES.get(status, status))
