"""What came of a campaign, for its page."""

from typing import Any

from cloudpos.tenancy.models import Merchant
from marketing.models import Campaign


def results_shown(campaign: Campaign, merchant: Merchant) -> dict[str, Any]:
    return {}
