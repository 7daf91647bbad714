"""POST /auth/token, /auth/refresh, /auth/logout. Public, never stored for replay: the answers are secrets."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api.envelope import success
from cloudpos.api.views import PUBLIC, ApiView
from cloudpos.tenancy import services
from cloudpos.tenancy.serializers import TOKENS, LoginInput, RefreshInput


class _SessionView(ApiView):
    authentication_classes = ()
    idempotent = False
    roles = {"post": PUBLIC}

    @staticmethod
    def rendered(session: services.Session) -> dict[str, Any]:
        user = session.user
        return {
            "access": session.access,
            "refresh": session.refresh,
            "tokenType": "Bearer",
            "expiresIn": session.expires_in,
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
