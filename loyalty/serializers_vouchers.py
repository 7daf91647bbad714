"""What is sent to and shown of vouchers."""

from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.parameters import Text
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import CamelSerializer, CleanCharField
from cloudpos.api.shape_schema import MONEY, nullable
from loyalty.models import Reward, Voucher
from loyalty.serializers import TRANSACTION_ID_CHARS_MAX
from loyalty.services.vouchers import CODE_TYPED_CHARS_MAX

_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}

VOUCHER = Fields(
    "LoyaltyVoucher",
    {
        "id": _ID,
        "customerId": _ID,
        "rewardId": _ID,
        "name": {**_TEXT, "description": "The reward's"},
        "code": {**_TEXT, "description": "As people read it: ABCDE-12345"},
        "kind": {"type": "string", "enum": list(Reward.Kind.values)},
        "value": {**nullable(MONEY), "description": "Money off, or per cent off, as it was promised"},
        "sku": {**_TEXT, "description": "Of a free item"},
        "state": {"type": "string", "enum": list(Voucher.State.values)},
        "discount": {**nullable(MONEY), "description": "Money off; null: it depends on the basket."},
        "givenAt": _TIME,
        "expiresAt": {**_TIME, "description": "The first instant at which it is over"},
        "usedAt": nullable(_TIME),
        "storeId": nullable(_ID),
        "transactionId": _TEXT,
    },
)
VOUCHERS = Fields("LoyaltyVouchers", {"vouchers": Many(VOUCHER)})


class VoucherUseInput(CamelSerializer):
    code = CleanCharField(max_length=CODE_TYPED_CHARS_MAX, help_text="Case, spaces and hyphens do not count")
    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX)


class VoucherLookupFilters(NoParameters):
    code = Text(
        method="", max_length=CODE_TYPED_CHARS_MAX, description="Case, spaces and hyphens do not count."
    )

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        if "code" not in self.values:
            raise BadRequest(errors=[FieldError("code", "Give the code of the voucher.", "required")])
