"""What is chosen on the pricing page."""

from django import forms

from billing.models import Interval, Plan


class CheckoutForm(forms.Form):
    """A plan and how often it is paid."""

    plan = forms.ModelChoiceField(
        Plan.objects.filter(is_offered=True), to_field_name="code", empty_label=None
    )
    interval = forms.ChoiceField(choices=Interval.choices)
