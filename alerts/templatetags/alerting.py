"""How alerts, spans of time and lines of history are put on a page."""

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from alerts import wording
from alerts.models import Severity
from messaging.models import Activity

register = template.Library()

CHART_TOP, CHART_BOTTOM, CHART_LEFT, CHART_STEP = 20, 170, 34, 20

CONTACTS = {
    ("call", "replied"): gettext_lazy("Call: we talked"),
    ("call", "no_answer"): gettext_lazy("Call: nobody answered"),
}
STEPS = {
    "planned": gettext_lazy("Follow-up planned"),
    "moved": gettext_lazy("Follow-up moved"),
    "done": gettext_lazy("Follow-up done"),
    "dropped": gettext_lazy("Follow-up dropped"),
}


@register.simple_tag
def severity_word(severity: str) -> str:
    """The word beside the colour."""
    return str(Severity(severity).label)


@register.simple_tag
def minutes_word(minutes: int | None) -> str:
    """So many minutes, in the unit people would say; a dash where there are none."""
    if minutes is None:
        return "–"
    if minutes >= 48 * 60:
        return wording.duration(minutes // (24 * 60) * 86_400)
    if minutes >= 120:
        return wording.duration(minutes // 60 * 3_600)
    return wording.duration(minutes * 60) if minutes else _("less than a minute")


@register.simple_tag
def activity_words(activity: Activity) -> str:
    """What a line of a lead's history says."""
    match activity.kind:
        case Activity.Kind.NOTE:
            return _("Note")
        case Activity.Kind.STAGE:
            change = activity.stage_change
            after = change.after if change else None
            return _("Stage: %(name)s") % {"name": after or "–"}
        case Activity.Kind.FOLLOW_UP:
            return str(STEPS.get(activity.meta.get("is", ""), _("Follow-up")))
        case Activity.Kind.VIP:
            return _("Became a VIP") if activity.meta.get("is") else _("No VIP any more")
    said = CONTACTS.get((activity.channel, activity.status))
    if said:
        return str(said)
    way = _("received") if activity.direction == "in" else activity.get_status_display()
    return f"{activity.get_channel_display()} · {way}"


@register.simple_tag
def bars(days, highest: int) -> list[dict]:
    """Where the bars of each day stand in a chart; every fifth day is named."""
    scale = (CHART_BOTTOM - CHART_TOP) / highest
    drawn = []
    for number, day in enumerate(days):
        x = CHART_LEFT + number * CHART_STEP
        opened, resolved = round(day.opened * scale), round(day.resolved * scale)
        drawn.append(
            {
                "x": x,
                "x_resolved": x + 8,
                "opened_y": CHART_BOTTOM - opened,
                "opened_height": opened,
                "resolved_y": CHART_BOTTOM - resolved,
                "resolved_height": resolved,
                "label": f"{day.day:%d/%m}" if number % 5 == 0 else "",
            }
        )
    return drawn
