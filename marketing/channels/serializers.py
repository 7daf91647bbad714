"""How messaging settings are set and look outside."""

from typing import Any

from rest_framework.serializers import ValidationError

from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    CamelSerializer,
    CleanCharField,
    MoneyField,
    StrictBooleanField,
    StrictChoiceField,
    StrictIntegerField,
    StrictListField,
)
from cloudpos.api.shape_schema import nullable
from customers.serializers import ClockField, LanguageField
from marketing.channels.settings import FOOT_TEXT_CHARS_MAX, FOOT_TEXTS_MAX, SECRETS
from marketing.models_messaging import MessagingSettings

MESSAGES_PER_WEEK_MAX = 1_000
SECRET_CHARS_MAX = 300
_TEXT = {"type": "string"}
_CLOCK = nullable({"type": "string", "description": "HH:MM, store time"})


def _text(most: int, **more: Any) -> CleanCharField:
    return CleanCharField(max_length=most, required=False, allow_blank=True, default="", **more)


def _secret() -> CleanCharField:
    return CleanCharField(
        max_length=SECRET_CHARS_MAX,
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text='Left out: stays as it is; "": removed',
    )


class FootTextInput(CamelSerializer):
    language = LanguageField(
        allow_null=False, default="", help_text="Empty: for all others; de is also for de-AT"
    )
    text = CleanCharField(max_length=FOOT_TEXT_CHARS_MAX, multiline=True, help_text="Plain text, any lines")


class MessagingSettingsInput(CamelSerializer):
    """All of them: what is left out returns to its default, but for the secrets, which stay."""

    ignored_fields = ("smsSecretIsSet", "pushSecretIsSet", "webhookSecretIsSet", "version", "updatedAt")

    sender_name = _text(100)
    reply_to = _text(254)
    postal_address = _text(300, multiline=True)
    foot_texts = StrictListField(
        child=FootTextInput(), max_length=FOOT_TEXTS_MAX, required=False, default=dict
    )
    quiet_from = ClockField(max_length=5, required=False, allow_null=True, default=None)
    quiet_until = ClockField(max_length=5, required=False, allow_null=True, default=None)
    max_messages_per_week = StrictIntegerField(
        min_value=1, max_value=MESSAGES_PER_WEEK_MAX, required=False, allow_null=True, default=None
    )
    per_second = MoneyField(max_digits=7, min_value=0, required=False, default=0, help_text="0: any number")
    track_links = StrictBooleanField(required=False, default=True)
    sms_provider = StrictChoiceField(
        choices=MessagingSettings.SmsProvider.choices, required=False, allow_blank=True, default=""
    )
    sms_account = _text(100)
    sms_sender = _text(20)
    sms_secret = _secret()
    push_provider = StrictChoiceField(
        choices=MessagingSettings.PushProvider.choices, required=False, allow_blank=True, default=""
    )
    push_account = _text(100)
    push_secret = _secret()
    webhook_url = _text(2_000)
    webhook_secret = _secret()

    def validate_foot_texts(self, said: list[dict[str, str]]) -> dict[str, str]:
        tags = [each["language"].lower() for each in said]
        for index, tag in enumerate(tags):
            if tag in tags[:index]:
                message = "There is a text for this language already."
                raise ValidationError({str(index): {"language": [message]}})
        return {each["language"]: each["text"] for each in said}


_FOOT_TEXT = Fields(
    "MessagingFootText",
    {"language": {**_TEXT, "description": "Empty: for all others"}, "text": _TEXT},
)
MESSAGING_SETTINGS = Fields(
    "MessagingSettings",
    {
        "senderName": {**_TEXT, "description": "Empty: the merchant's name"},
        "replyTo": _TEXT,
        "postalAddress": {**_TEXT, "description": "At the foot of each e-mail"},
        "footTexts": Many(_FOOT_TEXT),
        "quietFrom": _CLOCK,
        "quietUntil": _CLOCK,
        "maxMessagesPerWeek": nullable({"type": "integer", "description": "To one customer"}),
        "perSecond": {"type": "string", "description": "Messages a second at most; 0: any number"},
        "trackLinks": {
            "type": "boolean",
            "description": "Links lead through this service, short in text messages, and a picture in mails tells of openings",
        },
        "smsProvider": {"type": "string", "enum": MessagingSettings.SmsProvider.values},
        "smsAccount": {**_TEXT, "description": "Twilio: the account's SID"},
        "smsSender": {**_TEXT, "description": "A number, a name, or the SID of a messaging service"},
        "smsSecretIsSet": {"type": "boolean"},
        "pushProvider": {"type": "string", "enum": MessagingSettings.PushProvider.values},
        "pushAccount": {**_TEXT, "description": "OneSignal: the app's id"},
        "pushSecretIsSet": {"type": "boolean"},
        "webhookUrl": _TEXT,
        "webhookSecretIsSet": {"type": "boolean"},
        "version": {"type": "integer"},
        "updatedAt": nullable({"type": "string", "format": "date-time"}),
    },
)


def render_messaging_settings(row: MessagingSettings) -> dict[str, Any]:
    return {
        "senderName": row.sender_name,
        "replyTo": row.reply_to,
        "postalAddress": row.postal_address,
        "footTexts": [
            {"language": language, "text": text} for language, text in sorted(row.foot_texts.items())
        ],
        "quietFrom": row.quiet_from and f"{row.quiet_from:%H:%M}",
        "quietUntil": row.quiet_until and f"{row.quiet_until:%H:%M}",
        "maxMessagesPerWeek": row.max_messages_per_week,
        "perSecond": f"{row.per_second:.2f}",
        "trackLinks": row.track_links,
        "smsProvider": row.sms_provider,
        "smsAccount": row.sms_account,
        "smsSender": row.sms_sender,
        "pushProvider": row.push_provider,
        "pushAccount": row.push_account,
        "webhookUrl": row.webhook_url,
        **{
            f"{name.partition('_')[0]}SecretIsSet": bool(getattr(row, column))
            for name, column in SECRETS.items()
        },
        "version": row.version,
        "updatedAt": None if row._state.adding else row.updated_at,
    }
