"""What gunicorn serves: see gunicorn.conf.py."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response


class Handler(WSGIHandler):
    """Django's, which tells each thread at each request, and again after it, that the project has one URLconf."""

    def get_response(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self._middleware_chain(request)  # type: ignore[attr-defined]
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if response.status_code >= 400:
            log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
        return response


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpos.settings")
django.setup(set_prefix=False)
application = Handler()
