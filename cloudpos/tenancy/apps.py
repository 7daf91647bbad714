from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "cloudpos.tenancy"
    label = "tenancy"
    verbose_name = "Merchants and people"
