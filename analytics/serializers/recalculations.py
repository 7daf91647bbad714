"""How a recalculation is asked for."""

from analytics.recalculations import Mode
from cloudpos.api.serializers import CamelSerializer, StrictChoiceField


class RecalculationInput(CamelSerializer):
    mode = StrictChoiceField(
        choices=[mode.value for mode in Mode],
        required=False,
        help_text="full: everybody; incremental: who bought or returned since their figures were worked out",
    )
