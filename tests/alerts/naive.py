"""The raw history read a third time, slowly and in plain Python: what should be open?

It shares nothing with the product but the rows of the history: it reads messages, not
activities, knows the thresholds by heart and counts opening hours five minutes at a time.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from messaging.models import FollowUp, Lead, Message

SEVERITIES = ("low", "medium", "high", "critical")
SLOT = timedelta(minutes=5)
WINDOW = timedelta(hours=24)
CLOSES_WITHIN = 120
MINUTES = {
    "NoContact7d": (None, 10_080, 20_160, None),
    "NoReply3d": (4_320, 7_200, 10_080, None),
    "CustomerWaiting": (None, 30, 240, 1_440),
    "FirstReplyOverdue": (None, 5, 60, None),
    "LeadUnassigned": (None, 15, 120, None),
    "FollowUpOverdue": (None, 0, 1_440, None),
    "NoNextStep": (1_440, 10_080, None, None),
    "StageStale": (None, 20_160, 30_240, None),
    "WindowClosing": (None, None, 0, None),
}


def expected(lead: Lead, now: datetime, zone: ZoneInfo, holidays: frozenset[date]) -> dict:
    """Code to severity of everything that should be open for a lead."""
    if lead.stage is not None and lead.stage.kind != "open":
        return {}
    said, sent = _contacts(lead)
    steps = list(FollowUp.objects.filter(lead=lead))
    found = {
        "NoContact7d": _since(max([*said, *sent], default=lead.created_at), now),
        "StageStale": _since(lead.stage_since or lead.created_at, now),
        "NoNextStep": _since(_last_step(lead, said + sent, steps), now),
    }
    if any(not each.closed_at and each.due_at > now for each in steps):
        found = {}
    last_sent, last_said = max(sent, default=None), max(said, default=None)
    if last_sent and (last_said is None or last_sent > last_said):
        found["NoReply3d"] = _since(last_sent, now)
    waiting = [at for at in said if last_sent is None or at > last_sent]
    if waiting:
        found["CustomerWaiting"] = _opening(min(waiting), now, zone, holidays)
        if last_sent is None:
            found["FirstReplyOverdue"] = _since(min(waiting), now)
        # Free words are possible for a day from their last message on.
        left = _since(now, last_said + WINDOW)
        found["WindowClosing"] = 0 if 0 < left <= CLOSES_WITHIN else -1
    if lead.owner_id is None:
        found["LeadUnassigned"] = _since(lead.owner_since or lead.created_at, now)
    due = [each.due_at for each in steps if not each.closed_at]
    if due:
        found["FollowUpOverdue"] = _since(min(due), now)
    open_now = {code: _severity(code, passed) for code, passed in found.items()}
    if open_now.get("NoReply3d") and said:
        open_now["NoReply3d"] = SEVERITIES[SEVERITIES.index(open_now["NoReply3d"]) + 1]
    return {code: each for code, each in open_now.items() if each} | _undelivered(lead, now)


def _contacts(lead: Lead) -> tuple[list[datetime], list[datetime]]:
    said, sent = [], []
    for message in Message.objects.filter(lead=lead):
        if message.direction == "in":
            said.append(message.sent_at)
        elif message.status != "failed" and message.origin not in ("automation", "campaign"):
            sent.append(message.sent_at)
    return said, sent


def _last_step(lead: Lead, contacts: list[datetime], steps: list[FollowUp]) -> datetime:
    ended = [each.closed_at for each in steps if each.closed_at]
    passed = [each.due_at for each in steps if not each.closed_at]
    return max([lead.created_at, *contacts, *ended, *passed])


def _undelivered(lead: Lead, now: datetime) -> dict:
    ours = Message.objects.filter(lead=lead, direction="out")
    last = max(ours, key=lambda message: (message.sent_at, message.pk), default=None)
    if last is None or last.status not in ("failed", "sent"):
        return {}
    is_late = last.status == "failed" or now - last.sent_at >= timedelta(hours=24)
    return {"DeliveryFailed": "high"} if is_late and last.sent_at <= now else {}


def _since(moment: datetime, now: datetime) -> float:
    return (now - moment) / timedelta(minutes=1)


def _opening(moment: datetime, now: datetime, zone: ZoneInfo, holidays: frozenset[date]) -> float:
    minutes = 0
    while moment < now and minutes < 2 * 1_440:
        local = moment.astimezone(zone)
        if local.weekday() < 5 and 9 <= local.hour < 18 and local.date() not in holidays:
            minutes += 5
        moment += SLOT
    return minutes


def _severity(code: str, minutes: float) -> str:
    reached = ""
    for name, threshold in zip(SEVERITIES, MINUTES[code], strict=True):
        if threshold is not None and minutes >= threshold:
            reached = name
    return reached
