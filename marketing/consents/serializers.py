"""What comes in about consent."""

from rest_framework import serializers

from cloudpos.api.fields import CleanCharField
from cloudpos.api.serializers import CamelSerializer
from customers.models import Purpose


class ConfirmationInput(CamelSerializer):
    """`wordingVersion`: of the words that the customer was shown."""

    purpose = serializers.ChoiceField(choices=Purpose.choices, default=Purpose.MARKETING.value)
    wording_version = CleanCharField(max_length=50, required=False, allow_blank=True)


class TextMessageInput(CamelSerializer):
    """`sender`: their phone number, with + and country."""

    sender = CleanCharField(max_length=40)
    text = CleanCharField(max_length=1_600)
