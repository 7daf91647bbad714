"""The admin site: store managers and owners sign in, and everything they see is their merchant's."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite

from cloudpos.api.errors import TooManyRequests
from cloudpos.api.throttling import throttle
from cloudpos.tenancy.backoffice.access import BACKOFFICE_ROLES, choose_merchant, staff_access
from cloudpos.tenancy.backoffice.pages import TenantAdmin
from cloudpos.tenancy.models import Membership
from cloudpos.tenancy.roles import Role

# Apps of libraries whose own pages know nothing of merchants; they register themselves.
UNREGISTERED_APPS = {"auth", "token_blacklist"}


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "This e-mail address and password do not match an account.",
        "cashier": "Cashiers have no access to the back office. Ask a manager of your store for what you need here.",
        "no_backoffice": "This account has no access to the back office. Ask the owner for the manager role.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail"

    def confirm_login_allowed(self, user: Any) -> None:
        # Not the admin's own check, which tells whoever is no staff that their password is wrong.
        super(AdminAuthenticationForm, self).confirm_login_allowed(user)
        if user.is_staff and (user.is_superuser or _manages(user)):
            return
        code = "cashier" if _is_cashier(user) else "no_backoffice"
        raise forms.ValidationError(self.error_messages[code], code=code)


def _manages(user: Any) -> bool:
    return Membership.objects.filter(
        user_id=user.pk, role__in=BACKOFFICE_ROLES, merchant__is_active=True
    ).exists()


def _is_cashier(user: Any) -> bool:
    """And nothing more: of whoever has another role as well, it is the other one that needs a word."""
    roles = set(
        Membership.objects.filter(user_id=user.pk, merchant__is_active=True).values_list("role", flat=True)
    )
    return roles == {Role.CASHIER}


class BackofficeSite(UnfoldAdminSite):
    site_title = "CloudPOS"
    index_title = "Overview"
    login_form = SignInForm
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Refuse a page that is not limited to the person's merchants: deny by default."""
        models = model_or_iterable if isinstance(model_or_iterable, (list, tuple)) else [model_or_iterable]
        if admin_class is None or not issubclass(admin_class, TenantAdmin):
            if all(model._meta.app_label in UNREGISTERED_APPS for model in models):
                return
            raise ImproperlyConfigured(
                f"{admin_class} must be a TenantAdmin: it would show every merchant's rows"
            )
        super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return staff_access(request).allowed

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # "View on site" tells an absent object from a foreign one, and no model here has a page of its own.
        urls = [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]
        return [
            path("merchant/", self.admin_view(require_POST(self.switch_merchant)), name="switch_merchant"),
            *urls,
        ]

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        def in_merchant_time(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            current = staff_access(request).current
            with timezone.override(current.tz if current else settings.TIME_ZONE):
                response = view(request, *args, **kwargs)
                # Rendered here and not later, so that the times in it are the merchant's.
                if hasattr(response, "render") and not response.is_rendered:
                    response.render()
                return response

        return super().admin_view(in_merchant_time, cacheable)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        access = staff_access(request)
        return {**super().each_context(request), "staff_access": access, "current_merchant": access.current}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST":
            try:
                throttle(request, scope="login")
            except TooManyRequests:
                messages.error(request, "Too many attempts. Wait a minute, then try again.")
                return HttpResponseRedirect(request.get_full_path())
        return super().login(request, extra_context)

    def switch_merchant(self, request: HttpRequest) -> HttpResponse:
        if not choose_merchant(request, request.POST.get("merchant", "")):
            messages.error(request, "There is no such merchant.")
        after = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(after, allowed_hosts={request.get_host()}):
            after = reverse("admin:index")
        return HttpResponseRedirect(after)
