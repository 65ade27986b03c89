"""System checks of the installation: what an operator should know before people use it."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.translation import gettext as _


@register(Tags.compatibility)
def tenant_hosts_are_below_a_domain(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """A suffix without its dot would give a tenant the hosts of strangers."""
    if settings.TENANT_HOST_SUFFIX.startswith(".") and len(settings.TENANT_HOST_SUFFIX) > 1:
        return []
    return [
        Error(
            _("TENANT_HOST_SUFFIX is %(suffix)s; it must begin with a dot.")
            % {"suffix": repr(settings.TENANT_HOST_SUFFIX)},
            hint=_("For example .amda.example.org; leave it out to use PUBLIC_URL's host."),
            id="amda.E001",
        )
    ]


@register(Tags.compatibility)
def mail_is_sent(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Outside development, a mail in a folder is a mail that nobody reads."""
    if settings.DEBUG or settings.EMAIL_URL:
        return []
    return [
        Warning(
            _("EMAIL_URL is not set: no mail leaves, not even a forgotten password's link."),
            hint=_("For example EMAIL_URL=smtp+tls://user:password@mail.example.org:587."),
            id="amda.W001",
        )
    ]


@register(Tags.security, deploy=True)
def addresses_are_encrypted(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Cookies are sent over https only, so nobody could sign in over http."""
    if settings.DEBUG or settings.PUBLIC_SCHEME == "https":
        return []
    return [
        Warning(
            _("PUBLIC_URL is not https: providers refuse such webhooks, and nobody can sign in."),
            hint=_("Put a proxy with a certificate before AMDA, and set TRUST_PROXY=true."),
            id="amda.W002",
        )
    ]


@register(Tags.security, deploy=True)
def hosts_are_named(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Any host would let a forged one into the links of our mails."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            _("ALLOWED_HOSTS holds *, so that any host name is taken for ours."),
            hint=_("Leave it out: PUBLIC_URL's host and the tenants' hosts are allowed anyway."),
            id="amda.W003",
        )
    ]


@register(Tags.security, deploy=True)
def nothing_of_development_is_left(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The sandbox and calls to private hosts belong to a development run."""
    if settings.DEBUG:
        return []
    found = []
    if settings.SANDBOX_ENABLED:
        found.append(Warning(_("SANDBOX_ENABLED is on outside development."), id="amda.W004"))
    if settings.PRIVATE_API_HOSTS:
        found.append(
            Warning(
                _("PRIVATE_API_HOSTS lets vendors' settings reach into your own network."),
                hint=_("List only hosts that serve a provider's API."),
                id="amda.W005",
            )
        )
    return found
