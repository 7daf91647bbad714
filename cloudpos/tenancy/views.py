"""Sessions (POST /auth/token, /auth/refresh, /auth/logout) and GET /me.

Sessions are public, and never stored for replay: their answers are secrets.
"""

from typing import Any, cast

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api.envelope import success
from cloudpos.api.query import NoParameters
from cloudpos.api.views import PUBLIC, SIGNED_IN, ApiView
from cloudpos.tenancy import services
from cloudpos.tenancy.authentication import TokenAuthentication
from cloudpos.tenancy.models import User
from cloudpos.tenancy.serializers import ME, TOKENS, LoginInput, RefreshInput


class _SessionView(ApiView):
    authentication_classes = ()
    idempotent = False
    roles = {"post": PUBLIC}

    @staticmethod
    def rendered(session: services.Session) -> dict[str, Any]:
        return {
            "access": session.access,
            "refresh": session.refresh,
            "tokenType": "Bearer",
            "expiresIn": session.expires_in,
            **_person(session.user),
        }


def _person(user: User) -> dict[str, Any]:
    return {
        "user": {"id": user.pk, "email": user.email, "name": user.name},
        "stores": services.stores_of(user),
    }


class TokenView(_SessionView):
    """Log in with e-mail and password: an access token, a refresh token, and the stores to work at."""

    throttle_scope = "login"
    inputs = {"post": LoginInput}
    outputs = {"post": TOKENS}
    summaries = {"post": "Log in"}

    def post(self, request: Request) -> HttpResponse:
        return success(self.rendered(services.log_in(**self.input(LoginInput))), "Welcome")


class RefreshView(_SessionView):
    """Exchange a refresh token, which works once, for a new pair."""

    inputs = {"post": RefreshInput}
    outputs = {"post": TOKENS}
    summaries = {"post": "Refresh a session"}

    def post(self, request: Request) -> HttpResponse:
        return success(
            self.rendered(services.refresh_session(**self.input(RefreshInput))), "Session refreshed"
        )


class LogoutView(_SessionView):
    """End a session: its refresh token is refused from now on; access tokens run out within 15 minutes."""

    inputs = {"post": RefreshInput}
    summaries = {"post": "Log out"}

    def post(self, request: Request) -> HttpResponse:
        services.log_out(**self.input(RefreshInput))
        return success(None, "Logged out")


class MeView(ApiView):
    """Whose token this is, and the stores to choose `x-store-id` from, with the role at each.

    The one request that needs a token and no store: for whoever was given a token and nothing else.
    """

    authentication_classes = (TokenAuthentication,)
    roles = {"get": SIGNED_IN}
    filters = {"get": NoParameters}
    outputs = {"get": ME}
    summaries = {"get": "Who I am and where I may work"}

    def get(self, request: Request) -> HttpResponse:
        NoParameters(request)
        return success(_person(cast(User, request.user)))
