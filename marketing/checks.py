"""What `manage.py check --deploy` says about webhooks."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def webhooks_stay_outside(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A merchant's URL must not reach into the network of a production installation."""
    if settings.PRODUCTION and settings.WEBHOOKS_ALLOW_PRIVATE:
        return [
            Warning(
                "WEBHOOKS_ALLOW_PRIVATE is on in production",
                hint="Any manager can make this service send requests inside your network. Remove the setting.",
                id="marketing.W001",
            )
        ]
    return []
