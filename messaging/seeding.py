"""Invented leads, conversations and messages by the million, to measure on.

Nobody can be reached at the numbers: no country has the code +999.
"""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db import connection, models, transaction

from messaging.models import Conversation, Lead, LeadIdentity, Message
from tenants.models import ProviderInstance

CHUNK = 20_000
SPAN = timedelta(days=365)
SEARCH = "message_search"
FIRST_NAMES = "Awa Moussa Fatou Camille Hugo Salma Youssef Koffi Aminata Léa Jean-Paul Zoé".split()
LAST_NAMES = "Ndiaye Diop Koné Traoré Martin Lefèvre Bernard Ben-Salah Mbaye Dupont O’Neil".split()
# Written as people write, most frequent first; every one is a little rarer than the one before.
WORDS = (
    "bonjour merci je vous la le de pour est et une commande livraison avez table prix oui non "
    "disponible possible demain samedi adresse chaises devis facture the you please order "
    "delivery  price available tomorrow thanks hello remise paiement acompte magasin stock "
    "couleur chêne  bois verre marbre canapé lit armoire bureau lampe tapis rideaux coussin "
    "montage livreur retard  remboursement échange garantie catalogue photo dimensions hauteur "
    "largeur profondeur poids  samedi lundi mardi mercredi jeudi vendredi matin après-midi soir "
    "appel rappeler répondre  confirmer annuler modifier recevoir envoyer choisir préférer "
    "invoice quote warranty refund  wood marble sofa bed wardrobe desk lamp carpet curtain "
    "assembly late discount deposit shop "
).split()
_WEIGHTS = list(accumulate(1 / (place + 1) for place in range(len(WORDS))))


def seed(
    instance: ProviderInstance,
    *,
    conversations: int,
    messages: int,
    now: datetime,
    report: Callable[[str], None],
    chance: random.Random,
) -> None:
    """Add so many conversations with so many messages between them, the busy ones busier."""
    leads = _copy(Lead, _leads(conversations, now, chance))
    report(f"{conversations:,} leads")
    _copy(LeadIdentity, _identities(leads, now))
    opened = _copy(Conversation, _conversations(leads, instance, now, chance))
    report(f"{conversations:,} conversations")
    _say(instance, opened, leads, messages, now, report, chance)
    _show_last_messages()
    with connection.cursor() as cursor:
        for model in (Lead, LeadIdentity, Conversation, Message):
            cursor.execute(f"ANALYZE {_quoted(model)}")
    report("statistics are up to date")


def _say(instance, opened: range, leads: range, messages: int, now, report, chance) -> None:
    whose = _turns(len(opened), messages, chance)
    index = next(each for each in Message._meta.indexes if each.name == SEARCH)
    # Built once at the end: entered row by row it would take several times as long.
    with connection.schema_editor() as editor:
        editor.remove_index(Message, index)
    try:
        for start in range(0, messages, CHUNK):
            turns = whose[start : start + CHUNK]
            rows = _messages(
                instance, opened, leads, turns, start / messages, messages, now, chance
            )
            _copy(Message, rows)
            report(f"{min(start + CHUNK, messages):,} of {messages:,} messages")
    finally:
        report("building the search index…")
        with connection.schema_editor() as editor:
            editor.add_index(Message, index)


def _turns(conversations: int, messages: int, chance: random.Random) -> list[int]:
    """Which conversation each message belongs to, in the order of time."""
    weights = list(accumulate(chance.paretovariate(1.2) for _each in range(conversations)))
    every_one = list(range(min(conversations, messages)))
    rest = chance.choices(range(conversations), cum_weights=weights, k=messages - len(every_one))
    turns = every_one + rest
    chance.shuffle(turns)
    return turns


def _leads(count: int, now: datetime, chance: random.Random) -> Iterator[dict[str, Any]]:
    for _each in range(count):
        name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
        yield {"name": name, "created_at": now, "updated_at": now, "recognised_at": now}


def _identities(leads: range, now: datetime) -> Iterator[dict[str, Any]]:
    for lead in leads:
        yield {"lead": lead, "kind": "phone", "value": _number(lead), "created_at": now}


def _conversations(leads: range, instance, now, chance) -> Iterator[dict[str, Any]]:
    for lead in leads:
        is_open = chance.random() < 0.7
        yield {
            "lead": lead,
            "instance_id": instance.pk,
            "provider": instance.provider,
            "medium": "whatsapp",
            "peer": _number(lead),
            "state": "open" if is_open else "closed",
            "unread_count": chance.randint(1, 5) if is_open and chance.random() < 0.1 else 0,
            "created_at": now - SPAN,
        }


def _messages(
    instance, opened, leads, turns, begun: float, messages: int, now, chance
) -> Iterator[dict[str, Any]]:
    at, step = now - SPAN * (1 - begun), SPAN / messages
    for turn in turns:
        at += step
        ours = chance.random() < 0.4
        reference = uuid.uuid4()
        yield {
            "conversation": opened[turn],
            "lead": leads[turn],
            "instance_id": instance.pk,
            "provider": instance.provider,
            "medium": "whatsapp",
            "direction": "out" if ours else "in",
            "origin": "phone" if ours else "contact",
            "status": "read" if ours else "received",
            "text": " ".join(chance.choices(WORDS, cum_weights=_WEIGHTS, k=chance.randint(2, 20))),
            "reference": reference,
            "external_id": f"seed-{reference}",
            "sent_at": at,
            "received_at": at,
        }


def _copy(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> range:
    """Write rows with COPY; columns that a row does not name get their default. Their ids."""
    fields = [each for each in model._meta.concrete_fields if not each.generated]
    names = ", ".join(connection.ops.quote_name(each.column) for each in fields)
    first = last = _last_id(model) + 1
    # What has a default for each row, like a reference, is named by the rows.
    defaults = {
        each.name: each.get_db_prep_save(each.get_default(), connection)
        for each in fields
        if not each.primary_key
    }
    with transaction.atomic(), connection.cursor() as cursor:
        with cursor.copy(f"COPY {_quoted(model)} ({names}) FROM STDIN") as copy:
            for row in rows:
                values = {**defaults, **row}
                copy.write_row([last if each.primary_key else values[each.name] for each in fields])
                last += 1
        # What waits to be checked would keep the table from getting its index back.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [model._meta.db_table, last]
        )
    return range(first, last)


def _last_id(model: type[models.Model]) -> int:
    return model._default_manager.aggregate(models.Max("pk"))["pk__max"] or 0


def _show_last_messages() -> None:
    """What rows show of their last message, for all at once."""
    with connection.cursor() as cursor:
        cursor.execute(LAST_MESSAGES)


LAST_MESSAGES = """
UPDATE messaging_conversation AS conversation
SET last_message_at = last.sent_at, last_message_id = last.id,
    last_message_snippet = left(last.text, 200), last_message_kind = last.kind,
    last_message_direction = last.direction, last_message_status = last.status
FROM (
    SELECT DISTINCT ON (conversation_id) conversation_id, id, sent_at, text, kind, direction, status
    FROM messaging_message ORDER BY conversation_id, sent_at DESC, id DESC
) AS last
WHERE last.conversation_id = conversation.id
"""


def _number(lead: int) -> str:
    return f"+999{lead:09d}"


def _quoted(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
