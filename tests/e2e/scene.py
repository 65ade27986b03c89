"""A shop's morning, for what is looked at: `plant("demo")` fills a tenant's inbox.

Runs inside the product: `manage.py shell -c "from tests.e2e import scene; scene.plant('demo')"`.
"""

import uuid
from datetime import date, timedelta

from django.utils import timezone

from alerts import evaluate, resolving
from alerts.models import AlertDay, DurationDay
from alerts.rules import BY_HAND
from messaging import followups, handling
from messaging.models import Conversation, Lead, LeadIdentity, Message
from tenants import context, directory
from tenants.accounts.models import User
from tenants.models import ProviderInstance

DAY = 24 * 60
# Who, from which number, and what was said how many minutes ago; "<" is theirs, ">" is ours.
TALKS = [
    (
        "Aïssatou Ndiaye",
        "+221770000101",
        [
            (2 * DAY + 40, "<", "Bonjour, la table ronde en chêne est-elle encore disponible ?"),
            (2 * DAY + 31, ">", "Bonjour Aïssatou, oui : il en reste deux en magasin."),
            (2 * DAY + 30, "<", "Parfait. Vous livrez à Dakar ?"),
            (2 * DAY + 20, ">", "Oui, sous 48 h. La livraison est offerte au-dessus de 150 000 F."),
            (DAY + 15, "<", "D’accord, je la prends. Je vous envoie l’adresse ce soir."),
            (38, "<", "Voici l’adresse : 12 rue Parchappe, Dakar-Plateau."),
            (36, "<", "Est-ce possible samedi matin, avant 11 h ?"),
        ],
    ),
    (
        "Camille Roux",
        "+33199000102",
        [
            (95, "<", "Bonjour, ma commande 4471 devait arriver hier."),
            (80, ">", "Bonjour Camille, je regarde tout de suite avec le transporteur."),
            (12, "<", "Merci, j’attends votre retour."),
        ],
    ),
    (
        "Moussa Koné",
        "+225070000103",
        [
            (3 * DAY, "<", "Avez-vous des chaises assorties ?"),
            (3 * DAY - 30, ">", "Oui, le lot de quatre est à 85 000 F. Je vous envoie les photos."),
            (6 * 60, "<", ""),
        ],
    ),
    (
        "Fatou Diop",
        "+221770000104",
        [
            (5 * 60, "<", "Je voudrais un devis pour équiper un restaurant de 40 couverts."),
            (4 * 60, ">", "Avec plaisir. Plutôt intérieur, ou terrasse aussi ?"),
        ],
    ),
    ("Hugo Lefèvre", "+33199000105", [(7 * 60, "<", "Hello, do you ship to Belgium?")]),
    (
        "Salma Ben Youssef",
        "+216200000106",
        [
            (DAY + 60, "<", "Les livraisons reprennent quand ?"),
            (DAY + 50, ">", "Lundi, et la vôtre est la première de la tournée."),
            (DAY + 49, "<", "Super, merci beaucoup !"),
        ],
    ),
    ("", "+33199000107", [(2 * DAY, "<", "Bonjour, êtes-vous ouverts dimanche ?")]),
]
NEVER_CONTACTED = [
    ("Boutique Yaye", "+221770000121"),
    ("Garage Sow", "+221770000122"),
    ("Hôtel Le Baobab", "+221770000123"),
    ("Pharmacie du Port", "+221770000124"),
    ("Restaurant Chez Loutcha", "+221770000125"),
    ("Salon Élégance", "+221770000126"),
]
KINDS = {("Moussa Koné", 2): "voice"}
UNREAD = {"Aïssatou Ndiaye": 2, "Camille Roux": 1, "Moussa Koné": 1}


def plant(slug: str) -> None:
    """Fill a tenant's inbox; what is there already stays."""
    tenant = directory.tenant_of_slug(slug)
    number = ProviderInstance.objects.of(tenant).first()
    with context.entered(tenant):
        owner = User.objects.order_by("pk").first()
        known = set(LeadIdentity.objects.values_list("value", flat=True))
        for name, phone, said in TALKS:
            if phone not in known:
                _talk(number, owner, name, phone, said)


def watch(slug: str) -> None:
    """A tenant in which something is due, something late, something never begun."""
    tenant = directory.tenant_of_slug(slug)
    now = timezone.now()
    with context.entered(tenant):
        owner = User.objects.order_by("pk").first()
        Lead.objects.filter(name__startswith="S").update(created_at=now - 9 * timedelta(days=1))
        for name, phone in NEVER_CONTACTED:
            lead = Lead.objects.create(name=name, owner=owner, recognised_at=now)
            LeadIdentity.objects.create(lead=lead, kind="phone", value=phone)
            Lead.objects.filter(pk=lead.pk).update(created_at=now - 8 * timedelta(days=1))
        for lead in Lead.objects.filter(name__in=["Camille Roux", "Fatou Diop"]):
            handling.give(lead, to=owner, by=owner, now=now)
        late, today = now - timedelta(hours=26), now + timedelta(minutes=20)
        camille, fatou = (Lead.objects.get(name=each) for each in ("Camille Roux", "Fatou Diop"))
        promised = {"who": owner, "by": owner, "now": now - timedelta(days=2)}
        followups.plan(camille, what="Rappeler le transporteur", due_at=late, **promised)
        followups.plan(fatou, what="Envoyer le devis du restaurant", due_at=today, **promised)
        evaluate.sweep(tenant, now=now)
        resolving.make(
            type=BY_HAND, severity="high", message="Demande une remise : à valider", lead=fatou,
            action={"action": "call"}, by=owner, now=now,
        )  # fmt: skip
        for days in range(25):
            _count_a_day(now.date() - timedelta(days=days), days)


def _count_a_day(day: date, number: int) -> None:
    """What the counters would hold of a day on which the team worked with alerts."""
    opened = 4 + number * 7 % 9
    AlertDay.objects.update_or_create(
        day=day,
        type="CustomerWaiting",
        defaults={"opened": opened, "by_action": opened // 2, "by_hand": 1, "by_itself": 1},
    )
    for what, minutes in (("resolved", 42), ("answered", 11)):
        DurationDay.objects.update_or_create(
            day=day, what=what, user_id=0, minutes=minutes, defaults={"times": opened}
        )


def plant_long(slug: str, count: int = 200) -> int:
    """A conversation that has to be scrolled; answers its id."""
    tenant = directory.tenant_of_slug(slug)
    number = ProviderInstance.objects.of(tenant).first()
    with context.entered(tenant):
        said = [(count - place, "<", f"Ligne {place}") for place in range(count)]
        return _talk(number, None, "Longue Histoire", "+33199000199", said).pk


def _talk(number, owner, name: str, phone: str, said: list) -> Conversation:
    lead = Lead.objects.create(
        name=name, owner=owner if name.startswith("A") else None, recognised_at=timezone.now()
    )
    LeadIdentity.objects.create(lead=lead, kind="phone", value=phone)
    conversation = Conversation.objects.create(
        lead=lead,
        instance_id=number.pk,
        provider=number.provider,
        medium="whatsapp",
        peer=phone,
        assignee=lead.owner,
    )
    for place, (minutes, way, text) in enumerate(said):
        last = _say(conversation, owner, minutes, way, text, KINDS.get((name, place), "text"))
    Conversation.objects.filter(pk=conversation.pk).update(
        last_message_at=last.sent_at,
        last_message_id=last.pk,
        last_message_snippet=last.text[:200],
        last_message_kind=last.kind,
        last_message_direction=last.direction,
        last_message_status=last.status,
        unread_count=UNREAD.get(name, 0),
    )
    return conversation


def _say(conversation, owner, minutes: int, way: str, text: str, kind: str) -> Message:
    at = timezone.now() - timedelta(minutes=minutes)
    ours = way == ">"
    return Message.objects.create(
        conversation=conversation,
        lead_id=conversation.lead_id,
        instance_id=conversation.instance_id,
        provider=conversation.provider,
        medium=conversation.medium,
        direction="out" if ours else "in",
        origin="person" if ours else "contact",
        by=owner if ours else None,
        status="read" if ours else "received",
        kind=kind,
        text=text,
        external_id=f"scene-{uuid.uuid4()}",
        sent_at=at,
        received_at=at,
    )
