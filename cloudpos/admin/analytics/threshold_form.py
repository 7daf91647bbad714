"""The thresholds of the lifecycle segments as a form: shares and probabilities in percent, as people say them."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django import forms

from analytics.segments import Rules

PERCENT = ("vip_share", "churned_probability", "at_risk_probability")


def _whole(label: str, least: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=least, max_value=most, widget=_input())


def _percent(label: str, least: str, most: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        min_value=Decimal(least),
        max_value=Decimal(most),
        decimal_places=1,
        widget=_input(),
    )


def _input() -> forms.NumberInput:
    return forms.NumberInput(attrs={"class": "cp-input cp-input--number"})


class ThresholdForm(forms.Form):
    """Its fields are the names of `Rules`."""

    new_days = _whole("Days since the first purchase", 1, 730)
    vip_share = _percent("Top share by 12-month value, in percent", "0.1", "50")
    active_days = _whole("Days since the last purchase", 1, 1_830)
    churned_probability = _percent("Churned: probability of not coming back, in percent", "0", "100")
    churned_gaps = forms.DecimalField(
        label="Usual gaps", min_value=Decimal(1), max_value=Decimal(100), decimal_places=1, widget=_input()
    )
    churned_days = _whole("Days of silence", 1, 1_830)
    at_risk_probability = _percent("At risk: probability of not coming back, in percent", "0", "100")
    at_risk_purchase_days = _whole("Days with a purchase", 1, 100)
    horizon_days = _whole("Days ahead", 7, 730)

    def __init__(self, typed: Any, *, current: Rules) -> None:
        values = asdict(current)
        for name in PERCENT:
            values[name] = Decimal(str(values[name])) * 100
        super().__init__(typed, initial={name: _plain(value) for name, value in values.items()})

    def rules(self) -> Rules:
        """What was typed. Of a form that is valid."""
        values = dict(self.cleaned_data)
        values["vip_share"] /= 100
        for name in ("churned_probability", "at_risk_probability"):
            values[name] = float(values[name] / 100)
        values["churned_gaps"] = float(values["churned_gaps"])
        return Rules(**values)


def _plain(value: Any) -> Any:
    """4 for 4.0, and 10 for 1E+1."""
    if isinstance(value, int):
        return value
    return f"{Decimal(str(value)).normalize():f}"
