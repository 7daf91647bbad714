"""Django's handler400-500: errors outside of any view. An envelope under API paths, a page elsewhere."""

import logging
import sys

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from cloudpos.api.errors import INTERNAL, describe, problem_response, status_response
from cloudpos.api.middleware import is_api_path

logger = logging.getLogger("cloudpos.api")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api_path(request.path_info):
        return status_response(request, 413 if isinstance(exception, RequestDataTooBig) else 400)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api_path(request.path_info):
        return status_response(request, 403)
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api_path(request.path_info):
        return status_response(request, 404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called inside Django's except block, so the exception (also one of a middleware) is still at hand."""
    exc = sys.exc_info()[1]
    problem = describe(exc) if exc is not None else INTERNAL
    if is_api_path(request.path_info):
        return problem_response(problem, getattr(request, "request_id", ""))
    page = defaults.server_error(request)
    if problem.status == 503:
        page.status_code = 503
        for name, value in problem.headers.items():
            page.headers[name] = value
    return page
