from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "cloudpos.jobs"
    label = "jobs"
    verbose_name = "Jobs"
