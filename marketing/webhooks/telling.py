"""Telling a merchant's owners that we switched an endpoint of theirs off, by e-mail. The admin shows it as well."""

import logging

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.template.loader import render_to_string
from django.utils.timezone import now

from cloudpos.tenancy.models import Membership
from cloudpos.tenancy.roles import Role
from marketing.models import Webhook

logger = logging.getLogger(__name__)

BATCH = 50
# One process writes these mails: a second one would write each again.
_LOCK_KEY = 3_002_004


def tell_owners() -> int:
    """Write to the owners of what we switched off, each time once. Returns how many webhooks were told of.

    A process that dies after the mail and before the row says so leads to a second mail, never to none.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY])
        (alone,) = cursor.fetchone()
    if not alone:
        return 0
    try:
        untold = Webhook.objects.filter(
            is_enabled=False,
            owners_told_at=None,
            disabled_reason__in=[Webhook.DisabledReason.GONE, Webhook.DisabledReason.FAILING],
        )
        return sum(
            _tell(webhook) for webhook in untold.select_related("merchant").order_by("disabled_at")[:BATCH]
        )
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_KEY])


def _tell(webhook: Webhook) -> bool:
    owners = Membership.objects.for_merchant(webhook.merchant_id).filter(
        role=Role.OWNER, user__is_active=True
    )
    addresses = sorted(set(owners.values_list("user__email", flat=True)))
    if addresses:
        subject = f"{webhook.merchant.name}: a webhook was switched off"
        text = render_to_string(
            "emails/webhook_disabled.txt",
            {
                "webhook": webhook,
                "admin_url": f"{settings.PUBLIC_URL}/admin/marketing/webhook/{webhook.pk}/change/",
            },
        )
        try:
            EmailMessage(subject.replace("\n", " ").replace("\r", " "), text, to=addresses).send()
        except OSError:
            # smtplib's errors are OSErrors. Tried again by the clock.
            logger.exception("webhook_owners_not_told", extra={"webhook_id": str(webhook.pk)})
            return False
    Webhook.objects.for_merchant(webhook.merchant_id).filter(
        pk=webhook.pk, disabled_at=webhook.disabled_at
    ).update(owners_told_at=now())
    return True
