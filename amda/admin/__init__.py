"""The platform's admin: where its staff bring vendors in, look after them and help them out."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group

from amda.admin import (  # noqa: F401  they register their pages
    deliveries,
    instances,
    jobs,
    undertakings,
    vendors,
    words,
)

# What other apps bring into the admin and nobody needs there: rights come from roles, and a
# person's address from the person.
admin.site.unregister([Group, EmailAddress, Authenticator])
