"""The service's routes and an empty view of the API: authentication, tenancy, limits and log line, and nothing else."""

from django.http import HttpResponse
from django.urls import path

from benchmarks.scenarios import EMPTY_PATH
from cloudpos import urls
from cloudpos.api.envelope import success
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from cloudpos.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class Empty(ApiView):
    roles = {"get": Role.CASHIER}

    def get(self, request: object) -> HttpResponse:
        return success({})


urlpatterns = [*urls.urlpatterns, path(EMPTY_PATH.lstrip("/"), Empty.as_view())]
