"""Django's middlewares for pages (admin, docs): API requests have no session, no CSRF token and no messages."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware as DjangoCommonMiddleware
from django.middleware.gzip import GZipMiddleware as DjangoGZipMiddleware

from cloudpos.api.middleware import is_api_path


class _PagesOnly:
    """Steps aside for API paths."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_api_path(request.path_info):
            response: HttpResponseBase = self.get_response(request)
            return response
        page: HttpResponseBase = super().__call__(request)  # type: ignore[misc]
        return page


class GZipMiddleware(_PagesOnly, DjangoGZipMiddleware):
    """API answers are compressed by RequestMiddleware, faster and without Django's random padding."""


class SessionMiddleware(_PagesOnly, DjangoSessionMiddleware):
    pass


class CommonMiddleware(_PagesOnly, DjangoCommonMiddleware):
    pass


class AuthenticationMiddleware(_PagesOnly, DjangoAuthenticationMiddleware):
    pass


class MessageMiddleware(_PagesOnly, DjangoMessageMiddleware):
    pass
