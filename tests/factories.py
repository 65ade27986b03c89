"""Rows for tests; every value that matters to a test is given by the test."""

import json
import uuid
from datetime import UTC, datetime

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
)

from messaging.models import Conversation, Lead, LeadIdentity, Message
from tenants.models import ProviderInstance, Tenant

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET = "whsec-of-tests"


def make_instance(tenant: Tenant, **facts) -> ProviderInstance:
    """A connected Wasender instance whose secrets name the tenant."""
    defaults = {
        "provider": "wasender",
        "label": "Shop",
        "address": f"+2217011{tenant.number:05d}",
        "reference": f"session-{uuid.uuid4()}",
        "settings": {"api_url": "http://127.0.0.1:9/api", "signature": "secret"},
        "state": ProviderInstance.State.CONNECTED,
    }
    instance = ProviderInstance(tenant=tenant, **{**defaults, **facts})
    instance.secrets = secrets_of(tenant)
    instance.save()
    return instance


def secrets_of(tenant: Tenant) -> dict[str, str]:
    """The secrets that `make_instance` gives a tenant's instance."""
    return {"api_key": f"key-{tenant.number}", "webhook_secret": f"{SECRET}-{tenant.number}"}


def make_lead(name: str = "Awa", phone: str = "+221701111111", **facts) -> Lead:
    """A lead with a phone number."""
    lead = Lead.objects.create(name=name, **facts)
    LeadIdentity.objects.create(lead=lead, kind=LeadIdentity.Kind.PHONE, value=phone)
    return lead


def make_conversation(
    tenant: Tenant,
    *,
    name: str = "Awa",
    phone: str = "+221701111111",
    text: str = "Bonjour",
    at: datetime = NOW,
    **facts,
) -> Conversation:
    """A conversation with one received message; its denormalised columns are true."""
    conversation = open_conversation(tenant, make_lead(name, phone), peer=phone, **facts)
    message = make_message(conversation, text=text, at=at)
    Conversation.objects.filter(pk=conversation.pk).update(
        last_message_at=at,
        last_message_id=message.pk,
        last_message_snippet=text[:200],
        last_message_kind="text",
        last_message_direction="in",
        last_message_status="received",
        last_received_at=at,
        unread_count=1,
    )
    conversation.refresh_from_db()
    return conversation


def make_far_conversation(tenant: Tenant) -> Conversation:
    """A conversation under an id that no other tenant of a test has."""
    instance = ProviderInstance.objects.of(tenant).order_by("pk").first()
    return Conversation.objects.create(
        pk=900_001,
        lead=Lead.objects.create(pk=900_001, name="Leaky Far"),
        instance_id=instance.pk,
        provider=instance.provider,
        medium="whatsapp",
        peer="+33199000098",
    )


def open_conversation(tenant: Tenant, lead: Lead, **facts) -> Conversation:
    """A conversation with this lead at the tenant's first instance, in which nothing was said."""
    instance = ProviderInstance.objects.of(tenant).order_by("pk").first()
    defaults = {
        "instance_id": instance.pk,
        "provider": instance.provider,
        "medium": "whatsapp",
        "peer": f"+22170{lead.pk:07d}",
    }
    return Conversation.objects.create(lead=lead, **{**defaults, **facts})


def make_message(
    conversation: Conversation, *, text: str = "Bonjour", at: datetime = NOW, **facts
) -> Message:
    """A received message; `direction="out"` and the rest as the test needs."""
    defaults = {
        "direction": "in",
        "origin": "contact",
        "status": "received",
        "external_id": f"ext-{uuid.uuid4()}",
        "medium": conversation.medium,
        "peer": conversation.peer,
    }
    return Message.objects.create(
        conversation=conversation,
        lead_id=conversation.lead_id,
        instance_id=conversation.instance_id,
        provider=conversation.provider,
        text=text,
        sent_at=at,
        received_at=at,
        **{**defaults, **facts},
    )


def make_passkey(user, name: str) -> Authenticator:
    """A passkey of a person's, as a browser would have registered it."""
    number = uuid.uuid4().bytes
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = AttestedCredentialData.create(Aaguid.NONE, number, ES256.from_cryptography_key(public))
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.AT
    known = AuthenticatorData.create(bytes(32), flags, 0, made)
    about = {"type": "webauthn.create", "challenge": "", "origin": "https://shop.example"}
    credential = {
        "id": websafe_encode(number),
        "rawId": websafe_encode(number),
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {
            "clientDataJSON": websafe_encode(json.dumps(about).encode()),
            "attestationObject": websafe_encode(AttestationObject.create("none", known, {})),
        },
    }
    return Authenticator.objects.create(
        user=user,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": name, "credential": credential},
    )
