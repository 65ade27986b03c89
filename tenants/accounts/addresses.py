"""A person has one e-mail address: the one on the person."""

from allauth.account.models import EmailAddress
from django.db.models.signals import post_save

from tenants.accounts.models import User


def _forget_former_addresses(sender, instance, update_fields=None, **kwargs) -> None:
    # allauth notes every address it once saw, and would let the former one sign in, or send it
    # the link to a new password.
    if update_fields is None or "email" in update_fields:
        EmailAddress.objects.filter(user=instance).exclude(email__iexact=instance.email).delete()


post_save.connect(_forget_former_addresses, sender=User, dispatch_uid="forget_former_addresses")
