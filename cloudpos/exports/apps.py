from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "cloudpos.exports"
    label = "exports"
    verbose_name = "Exports"
