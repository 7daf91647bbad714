"""What a caller may say of a customer. Shapes and lengths only: what a value means is checked by the services."""

import ipaddress
import re
from datetime import time
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    CoordinateField,
    MetadataField,
    StrictBooleanField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from customers.models import Address, Channel, ConsentState, Customer, Purpose
from customers.models.customer import METADATA_BYTES_MAX, TAG_CHARS_MAX, TAGS_MAX
from customers.services.addresses import ADDRESSES_MAX
from customers.shapes import ADDRESS, CONSENT, CUSTOMER

CUSTOMERS_PER_BATCH_MAX = 100
MESSAGES_PER_WEEK_MAX = 100

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def optional_text(max_length: int, *, multiline: bool = False) -> CleanCharField:
    """Text that may be left out, empty or null."""
    return CleanCharField(
        max_length=max_length, multiline=multiline, required=False, allow_blank=True, allow_null=True
    )


class LanguageField(CleanCharField):
    """A language tag such as en or pt-BR (BCP 47)."""

    default_error_messages = {"invalid_language": "This must be a language tag such as en or pt-BR."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"max_length": 10, "required": False, "allow_blank": True, "allow_null": True, **kwargs}
        )

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text and _LANGUAGE.fullmatch(text) is None:
            self.fail("invalid_language")
        return text


class ClockField(CleanCharField):
    """A time of day as HH:MM."""

    default_error_messages = {"invalid_time": "This must be a time of day such as 22:00."}

    def to_internal_value(self, data: Any) -> Any:
        match = _CLOCK.fullmatch(super().to_internal_value(data))
        if match is None:
            self.fail("invalid_time")
        return time(int(match[1]), int(match[2]))

    def run_validation(self, data: Any = empty) -> Any:
        is_empty_value, data = self.validate_empty_values(data)
        return data if is_empty_value else self.to_internal_value(data)


class IpField(CleanCharField):
    """An IPv4 or IPv6 address."""

    default_error_messages = {"invalid_ip": "This must be an IP address."}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return str(ipaddress.ip_address(text)) if "%" not in text else self.fail("invalid_ip")
        except ValueError:
            self.fail("invalid_ip")


class AddressInput(CamelSerializer):
    """An address. Left out: `type` is home, `country` the merchant's."""

    ignored_fields = ADDRESS.all_names

    label = optional_text(50)  # type: ignore[assignment]
    type = StrictChoiceField(choices=Address.Type.choices, required=False)
    street1 = CleanCharField(max_length=200)
    street2 = optional_text(200)
    city = CleanCharField(max_length=100)
    state = optional_text(100)
    postal_code = optional_text(20)
    country = optional_text(2)
    latitude = CoordinateField(bound=90, required=False, allow_null=True)
    longitude = CoordinateField(bound=180, required=False, allow_null=True)
    is_default = StrictBooleanField(required=False)
    instructions = optional_text(500)


class NestedAddressInput(AddressInput):
    """An address of the list that replaces a customer's: with the id of one of them it changes that one."""

    id = StrictUuidField(required=False, allow_null=True)


class PurposesInput(CamelSerializer):
    marketing = StrictBooleanField(required=False)
    transactional = StrictBooleanField(required=False)
    analytics = StrictBooleanField(required=False)


class QuietHoursInput(CamelSerializer):
    """From `start` to `end` in the customer's evening; past midnight when the end is the smaller."""

    start = ClockField(max_length=5)
    end = ClockField(max_length=5)


class PreferencesInput(CamelSerializer):
    """Per channel and purpose whether the customer agrees: what changes is appended to the consent log."""

    email = PurposesInput(required=False)
    sms = PurposesInput(required=False)
    push = PurposesInput(required=False)
    phone = PurposesInput(required=False)
    mail = PurposesInput(required=False)
    language = LanguageField()
    quiet_hours = QuietHoursInput(required=False, allow_null=True)
    max_messages_per_week = StrictIntegerField(
        min_value=0, max_value=MESSAGES_PER_WEEK_MAX, required=False, allow_null=True
    )


class CustomerInput(CamelSerializer):
    """A customer. At least a name, a company, an e-mail address or a phone number; a business needs `companyName`.

    What the service computes (segment, tier, points, totals, ...) may be sent back and is ignored.
    """

    ignored_fields = CUSTOMER.all_names

    type = StrictChoiceField(choices=Customer.Type.choices, required=False)
    status = StrictChoiceField(choices=Customer.Status.choices, required=False)
    first_name = optional_text(100)
    last_name = optional_text(100)
    company_name = optional_text(200)
    tax_id = optional_text(40)
    email = optional_text(254)
    phone = optional_text(40)
    phone_country = optional_text(2)
    date_of_birth = StrictDateField(required=False, allow_null=True)
    gender = StrictChoiceField(
        choices=[choice for choice in Customer.Gender.choices if choice[0]], required=False, allow_null=True
    )
    language = LanguageField()
    notes = optional_text(5000, multiline=True)
    tags = StrictListField(
        child=CleanCharField(max_length=TAG_CHARS_MAX), max_length=TAGS_MAX, required=False, allow_null=True
    )
    metadata = MetadataField(bytes_max=METADATA_BYTES_MAX, required=False, allow_null=True)
    home_store_id = StrictUuidField(required=False, allow_null=True)
    address = AddressInput(required=False, allow_null=True)
    addresses = NestedAddressInput(many=True, max_length=ADDRESSES_MAX, required=False)  # type: ignore[call-arg]
    preferences = PreferencesInput(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("address") and "addresses" in attrs:
            raise ValidationError(
                {"address": [ErrorDetail("Give either address or addresses.", code="ambiguous")]}
            )
        return attrs


class CustomerBatchInput(CamelSerializer):
    customers = CustomerInput(  # type: ignore[call-arg]
        many=True, min_length=1, max_length=CUSTOMERS_PER_BATCH_MAX
    )


class CustomerRowsInput(CamelSerializer):
    """The batch before its rows are read: each is read by itself, so that one bad row spoils only itself."""

    customers = StrictListField(min_length=1, max_length=CUSTOMERS_PER_BATCH_MAX)


class ConsentInput(CamelSerializer):
    """One thing a customer said. Late ones count from when they were said."""

    ignored_fields = CONSENT.all_names - {"channel", "purpose", "state", "source"}

    channel = StrictChoiceField(choices=Channel.choices)
    purpose = StrictChoiceField(choices=Purpose.choices)
    state = StrictChoiceField(choices=ConsentState.choices)
    source = CleanCharField(max_length=50)  # type: ignore[assignment]
    wording_version = optional_text(50)
    ip = IpField(max_length=45, required=False, allow_null=True)
    occurred_at = AwareDateTimeField(required=False, allow_null=True)
