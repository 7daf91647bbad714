"""What each e-mail service that may be configured reports, in the shapes of its documentation.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
https://developers.brevo.com/docs/transactional-webhooks
https://resend.com/docs/webhooks
https://developers.sparkpost.com/api/webhooks
https://postmarkapp.com/developer/webhooks/webhooks-overview
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from marketing.webhooks.signing import new_secret, sign
from tests.marketing.tracking.conftest import SENT_AT

AT = SENT_AT + timedelta(minutes=5)
EPOCH = int(AT.timestamp())
ADDRESS = "alice@mail.example"
LINK = "https://shop.example/spring"
AGENT = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0"
MAILGUN_KEY = "key-of-mailguns-webhooks"
RESEND_KEY = new_secret()
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())

Ids = dict[str, str]
Body = Callable[[Ids, dict[str, Any]], Any]
Signed = Callable[[bytes], dict[str, str]]


def mailgun(ids: Ids, event: dict[str, Any]) -> Any:
    token = "a" * 50
    signature = hmac.digest(MAILGUN_KEY.encode(), f"{EPOCH}{token}".encode(), hashlib.sha256).hex()
    data = {
        "id": "Ase7i2zsRYeDXztHGENqRA",
        "timestamp": EPOCH + 0.0,
        "log-level": "info",
        "recipient": ADDRESS,
        "recipient-domain": "mail.example",
        "user-variables": ids,
        "message": {"headers": {"message-id": "20261101090000.1.DB5A4@shop.example", "to": ADDRESS}},
        "tags": ["campaign"],
        "campaigns": [],
    }
    signed = {"timestamp": str(EPOCH), "token": token, "signature": signature}
    return {"signature": signed, "event-data": {**data, **event}}


def sendgrid(ids: Ids, event: dict[str, Any]) -> Any:
    """A list of events, in which the message's own arguments stand among the service's."""
    return [
        {
            "email": ADDRESS,
            "timestamp": EPOCH,
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "category": ["campaign"],
            "sg_event_id": "ZGVsaXZlcmVkLTA",
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            **ids,
            **event,
        }
    ]


def brevo(ids: Ids, event: dict[str, Any]) -> Any:
    return {
        "email": ADDRESS,
        "id": 26224,
        "date": "2026-11-01 10:05:00",
        "ts": EPOCH,
        "ts_event": EPOCH,
        "ts_epoch": EPOCH * 1000,
        "message-id": "<202611010900.26224@smtp-relay.mailin.example>",
        "subject": "Spring",
        "X-Mailin-custom": json.dumps(ids),
        "sending_ip": "192.0.2.7",
        "template_id": 22,
        "tags": ["campaign"],
        **event,
    }


def resend(ids: Ids, event: dict[str, Any]) -> Any:
    kind, *more = event.values()
    data = {
        "created_at": "2026-11-01T09:00:00.000Z",
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Corner Shop <news@shop.example>",
        "to": [ADDRESS],
        "subject": "Spring",
        "headers": [{"name": "X-Metadata", "value": json.dumps(ids)}],
        **(more[0] if more else {}),
    }
    return {"type": kind, "created_at": "2026-11-01T09:05:00.000Z", "data": data}


def sparkpost(ids: Ids, event: dict[str, Any]) -> Any:
    group = {
        "open": "track_event",
        "click": "track_event",
        "list_unsubscribe": "unsubscribe_event",
        "link_unsubscribe": "unsubscribe_event",
    }.get(event["type"], "message_event")
    said = {
        "event_id": "92356927693813856",
        "message_id": "000443ee14578172be22",
        "rcpt_to": ADDRESS,
        "raw_rcpt_to": ADDRESS,
        "rcpt_meta": ids,
        "timestamp": str(EPOCH),
        "transmission_id": "65832150921904138",
        "campaign_id": "campaign",
    }
    # An empty one is how it asks whether anybody is there.
    return [{"msys": {group: {**said, **event}}}, {"msys": {}}]


def postmark(ids: Ids, event: dict[str, Any]) -> Any:
    return {
        "MessageID": "00000000-0000-0000-0000-000000000000",
        "ServerID": 23,
        "MessageStream": "broadcasts",
        "Tag": "campaign",
        "Metadata": ids,
        **event,
    }


def postmark_bounce(record: str, kind: str, *, inactive: bool) -> dict[str, Any]:
    return {
        "RecordType": record,
        "Type": kind,
        "Email": ADDRESS,
        "BouncedAt": AT.isoformat(),
        "Inactive": inactive,
    }


def postmark_change(reason: str) -> dict[str, Any]:
    return {
        "RecordType": "SubscriptionChange",
        "Recipient": ADDRESS,
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": reason,
        "ChangedAt": AT.isoformat(),
    }


def sign_as_sendgrid(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    signature = SENDGRID_KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-timestamp": stamp,
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
    }


def sign_as_resend(body: bytes) -> dict[str, str]:
    stamp = int(time.time())
    signature = sign(secrets=[RESEND_KEY], message_id="msg_1", timestamp=stamp, body=body)
    return {"svix-id": "msg_1", "svix-timestamp": str(stamp), "svix-signature": signature}


@dataclass(frozen=True)
class Service:
    """`keys`: what its view is configured with; `events`: by what comes of them."""

    body: Body
    events: dict[str, list[dict[str, Any]]]
    keys: dict[str, str]
    signed: Signed = lambda _: {}


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """As SendGrid shows it."""
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, shape)).decode()


# "hard": bounced, and never to be written to again; "soft": bounced; "late": it will be tried again, and is still under way.
SERVICES = {
    "mailgun": Service(
        mailgun,
        {
            "delivered": [{"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}}],
            "hard": [
                {
                    "event": "failed",
                    "severity": "permanent",
                    "reason": "bounce",
                    "delivery-status": {"attempt-no": 1, "code": 550, "message": "5.1.1 No such user"},
                },
                {
                    "event": "failed",
                    "severity": "permanent",
                    "reason": "suppress-bounce",
                    "delivery-status": {
                        "attempt-no": 1,
                        "code": 605,
                        "message": "",
                        "description": "Not delivering to previously bounced address",
                    },
                },
            ],
            "soft": [
                {
                    "event": "failed",
                    "severity": "permanent",
                    "reason": "old",
                    "delivery-status": {
                        "code": 602,
                        "description": "Too old, undeliverable within 8 hours",
                    },
                },
                {"event": "rejected", "reject": {"reason": "Sandbox", "description": ""}},
            ],
            "late": [
                {
                    "event": "failed",
                    "severity": "temporary",
                    "reason": "generic",
                    "delivery-status": {"retry-seconds": 600, "code": 452, "message": "4.2.2 Mailbox full"},
                }
            ],
            "complained": [{"event": "complained"}],
            "unsubscribed": [{"event": "unsubscribed", "ip": "192.0.2.9"}],
            "opened": [{"event": "opened", "client-info": {"user-agent": AGENT}}],
            "clicked": [{"event": "clicked", "url": LINK, "client-info": {"user-agent": AGENT}}],
        },
        {"MAILGUN_API_KEY": "key", "MAILGUN_WEBHOOK_SIGNING_KEY": MAILGUN_KEY},
    ),
    "sendgrid": Service(
        sendgrid,
        {
            "delivered": [{"event": "delivered", "response": "250 OK", "ip": "192.0.2.7", "tls": 1}],
            "hard": [
                {
                    "event": "bounce",
                    "type": "bounce",
                    "bounce_classification": "Invalid Address",
                    "reason": "550 5.1.1 unknown recipient",
                    "status": "5.1.1",
                },
                {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
                {"event": "dropped", "reason": "Invalid", "status": "5.0.0"},
            ],
            "soft": [
                {
                    "event": "bounce",
                    "type": "blocked",
                    "bounce_classification": "Reputation",
                    "reason": "554 5.7.1 blocked",
                    "status": "5.7.1",
                },
                {"event": "dropped", "reason": "Spam Content", "status": "5.0.0"},
            ],
            "late": [{"event": "deferred", "response": "400 try again later", "attempt": "5"}],
            "complained": [{"event": "spamreport"}],
            "unsubscribed": [{"event": "unsubscribe"}, {"event": "group_unsubscribe", "asm_group_id": 10}],
            "opened": [{"event": "open", "useragent": AGENT, "sg_machine_open": False}],
            "clicked": [{"event": "click", "url": LINK, "url_offset": {"index": 0, "type": "html"}}],
        },
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(SENDGRID_KEY)},
        sign_as_sendgrid,
    ),
    "brevo": Service(
        brevo,
        {
            "delivered": [{"event": "delivered"}],
            "hard": [
                {"event": "hard_bounce", "reason": "550 5.1.1 user unknown"},
                {"event": "invalid_email"},
            ],
            "soft": [
                {"event": "soft_bounce", "reason": "452 4.2.2 mailbox full"},
                {"event": "blocked", "reason": "blocked : due to blacklist user"},
            ],
            "late": [{"event": "deferred", "reason": "spf check"}],
            "complained": [{"event": "spam"}, {"event": "complaint"}],
            "unsubscribed": [{"event": "unsubscribe"}],
            "opened": [{"event": "unique_opened"}, {"event": "opened"}, {"event": "proxy_open"}],
            "clicked": [{"event": "click", "link": LINK}],
        },
        {},
    ),
    "resend": Service(
        resend,
        {
            "delivered": [{"type": "email.delivered"}],
            "hard": [
                {
                    "type": "email.bounced",
                    "data": {
                        "bounce": {
                            "type": "Permanent",
                            "subType": subtype,
                            "message": message,
                        }
                    },
                }
                for subtype, message in (
                    ("General", "The recipient's email provider sent a hard bounce message."),
                    ("Suppressed", "The recipient's email address is on the suppression list."),
                )
            ],
            "soft": [
                {
                    "type": "email.bounced",
                    "data": {
                        "bounce": {
                            "type": kind,
                            "subType": subtype,
                            "message": "The recipient's email provider sent a bounce message.",
                        }
                    },
                }
                for kind, subtype in (("Transient", "MailboxFull"), ("Undetermined", "Undetermined"))
            ],
            "late": [{"type": "email.delivery_delayed"}],
            "complained": [{"type": "email.complained"}],
            "opened": [{"type": "email.opened"}],
            "clicked": [
                {
                    "type": "email.clicked",
                    "data": {"click": {"ipAddress": "192.0.2.9", "link": LINK, "userAgent": AGENT}},
                }
            ],
        },
        {"RESEND_SIGNING_SECRET": RESEND_KEY},
        sign_as_resend,
    ),
    "sparkpost": Service(
        sparkpost,
        {
            "delivered": [{"type": "delivery"}],
            "hard": [
                {"type": "bounce", "bounce_class": "10", "raw_reason": "550 5.1.1 user unknown"},
                {"type": "out_of_band", "bounce_class": "30", "raw_reason": "550 no such recipient"},
            ],
            "soft": [
                {"type": "bounce", "bounce_class": "22", "raw_reason": "452 4.2.2 mailbox full"},
                {"type": "bounce", "bounce_class": "40", "raw_reason": "failed"},
                {"type": "bounce", "bounce_class": "51", "raw_reason": "554 5.7.1 spam"},
                {"type": "policy_rejection", "bounce_class": "25"},
            ],
            "late": [{"type": "delay", "bounce_class": "21"}],
            "complained": [{"type": "spam_complaint", "fbtype": "abuse"}],
            "unsubscribed": [{"type": "list_unsubscribe"}, {"type": "link_unsubscribe"}],
            "opened": [{"type": "open", "user_agent": AGENT}],
            "clicked": [{"type": "click", "target_link_url": LINK}],
        },
        {},
    ),
    "postmark": Service(
        postmark,
        {
            "delivered": [{"RecordType": "Delivery", "Recipient": ADDRESS, "DeliveredAt": AT.isoformat()}],
            "hard": [
                postmark_bounce("Bounce", "HardBounce", inactive=True),
                postmark_change("HardBounce"),
            ],
            "soft": [postmark_bounce("Bounce", "SoftBounce", inactive=False)],
            "late": [postmark_bounce("Bounce", "Transient", inactive=False)],
            "complained": [postmark_bounce("SpamComplaint", "SpamComplaint", inactive=True)],
            "unsubscribed": [postmark_change("ManualSuppression")],
            "opened": [{"RecordType": "Open", "Recipient": ADDRESS, "ReceivedAt": AT.isoformat()}],
            "clicked": [
                {
                    "RecordType": "Click",
                    "Recipient": ADDRESS,
                    "OriginalLink": LINK,
                    "ReceivedAt": AT.isoformat(),
                }
            ],
        },
        {},
    ),
}
