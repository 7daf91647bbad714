"""marketing.checks: an unsafe production setting is named."""

import pytest
from django.test import override_settings

from marketing.checks import webhooks_stay_outside


@pytest.mark.parametrize(
    ("production", "allowed", "found"),
    [(True, True, ["marketing.W001"]), (True, False, []), (False, True, [])],
)
def test_private_targets_in_production_are_named(production: bool, allowed: bool, found: list[str]) -> None:
    with override_settings(PRODUCTION=production, WEBHOOKS_ALLOW_PRIVATE=allowed):
        assert [each.id for each in webhooks_stay_outside(None)] == found
