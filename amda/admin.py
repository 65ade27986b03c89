"""What other apps bring into the admin and nobody needs there."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group

# Rights come from roles, and a person's address from the person.
admin.site.unregister([Group, EmailAddress, Authenticator])
