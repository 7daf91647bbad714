"""Makes `django.contrib.admin.site` the back office."""

from django.contrib.admin.apps import AdminConfig


class BackofficeConfig(AdminConfig):
    default_site = "cloudpos.tenancy.backoffice.site.BackofficeSite"
