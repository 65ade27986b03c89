"""The mails about people's access: an invitation, another address."""

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from tenants.accounts import invitations, new_email
from tenants.accounts.models import Invitation, User
from tenants.models import Tenant
from tenants.onboarding import home_url

logger = logging.getLogger(__name__)


def send_invitation(request, invitation: Invitation) -> bool:
    """Send somebody the link to join, in the tenant's language: theirs is not known yet.

    False if the mail could not be sent.
    """
    link = _link(request, "join", invitations.key_of(invitation))
    facts = {"link": link, "invitation": invitation, "tenant": request.tenant}
    with translation.override(request.tenant.language):
        return _send("accounts/email/invitation", invitation.email, facts)


def send_owner_invitation(tenant: Tenant, invitation: Invitation) -> bool:
    """Send a new vendor's owner the link to join, in the vendor's language."""
    path = reverse("join", args=[invitations.key_of(invitation)], urlconf=settings.ROOT_URLCONF)
    facts = {"link": home_url(tenant) + path, "invitation": invitation, "tenant": tenant}
    with translation.override(tenant.language):
        return _send("accounts/email/invitation", invitation.email, facts)


def send_new_email(request, email: str) -> bool:
    """Send the link to the new address, and word of it to the present one."""
    link = _link(request, "account_email_confirm", new_email.key_for(request.user, email))
    sent = _send("accounts/email/new_email", email, {"link": link})
    if sent:
        _send("accounts/email/email_changing", request.user.email, {"email": email})
    return sent


def send_email_changed(former: str, user: User) -> None:
    """Tell the former address that it no longer signs anybody in."""
    _send("accounts/email/email_changed", former, {"email": user.email})


def _link(request, name: str, key: str) -> str:
    return request.build_absolute_uri(reverse(name, args=[key]))


def _send(template: str, to: str, facts: dict) -> bool:
    subject = render_to_string(f"{template}_subject.txt", facts).strip()
    try:
        send_mail(subject, render_to_string(f"{template}_message.txt", facts), None, [to])
    except (SMTPException, OSError):
        logger.warning("mail %s could not be sent", template, exc_info=True)
        return False
    return True
