"""Operations and documentation; the API itself is put together in cloudpos.urls."""

from django.urls import path

from cloudpos.api.docs import docs_script_view, docs_view, schema_view
from cloudpos.api.health import health_view, ready_view
from cloudpos.api.metrics import metrics_view

urlpatterns = [
    path("health", health_view, name="health"),
    path("health/ready", ready_view, name="health-ready"),
    path("metrics", metrics_view, name="metrics"),
    path("api/schema", schema_view, name="schema"),
    path("api/docs", docs_view, name="docs"),
    path("api/docs.js", docs_script_view, name="docs-script"),
]
