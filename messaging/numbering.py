"""Numbers that changed their form: what was written before and after is one subscriber.

WhatsApp keeps the form under which somebody signed up, address books keep older ones, and people
write the 0 they dial at home behind the country code. Nothing here is put in the place of what
was told: a number is only looked for in its other forms, too.
"""

import re

# A long and a short form, each as a pattern and as what the other one becomes.
_PAIRS: tuple[tuple[str, str, str, str], ...] = (
    # Brazil: mobile numbers got a ninth digit; fixed lines begin with 2 to 5 and did not.
    (r"\+55(\d\d)9([6-9]\d{7})", r"+55\1\2", r"\+55(\d\d)([6-9]\d{7})", r"+55\g<1>9\2"),
    # Mexico: the 1 before mobile numbers went in 2019; WhatsApp still writes it.
    (r"\+521(\d{10})", r"+52\1", r"\+52(\d{10})", r"+521\1"),
    # Argentina: a 9 before mobile numbers, when called from abroad.
    (r"\+549([1-3]\d{9})", r"+54\1", r"\+54([1-3]\d{9})", r"+549\1"),
    # Ivory Coast: two digits more since 2021; for mobile numbers the second of the old eight,
    # which was the operator's, says which.
    (r"\+22507([04-9][7-9]\d{6})", r"+225\1", r"\+225([04-9][7-9]\d{6})", r"+22507\1"),
    (r"\+22505([04-9][4-6]\d{6})", r"+225\1", r"\+225([04-9][4-6]\d{6})", r"+22505\1"),
    (r"\+22501([04-9][0-3]\d{6})", r"+225\1", r"\+225([04-9][0-3]\d{6})", r"+22501\1"),
    # France and Morocco: the 0 dialled at home. Senegal and Tunisia dial none; people add one.
    (r"\+330([1-9]\d{8})", r"+33\1", r"\+33([1-9]\d{8})", r"+330\1"),
    (r"\+2120([5-8]\d{8})", r"+212\1", r"\+212([5-8]\d{8})", r"+2120\1"),
    (r"\+2210([37]\d{8})", r"+221\1", r"\+221([37]\d{8})", r"+2210\1"),
    (r"\+2160([2-9]\d{7})", r"+216\1", r"\+216([2-9]\d{7})", r"+2160\1"),
)
_RULES = tuple(
    (re.compile(pattern), form)
    for long, short_form, short, long_form in _PAIRS
    for pattern, form in ((long, short_form), (short, long_form))
)


def forms(number: str) -> tuple[str, ...]:
    """A number, `+` and digits, and every other form the same subscriber may be written in."""
    others = (rule.sub(form, number) for rule, form in _RULES if rule.fullmatch(number))
    return (number, *others)
