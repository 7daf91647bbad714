"""The pages of marketing in the admin, each registered where it is written."""

from marketing.webhooks.admin import deliveries, endpoints  # noqa: F401
