"""What the pages of all operations have in common."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from customers.models import Customer

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin


def refused_when_closed(page: "CustomerAdmin", request: HttpRequest, customer: Customer) -> bool:
    if page.has_change_permission(request, customer):
        return False
    messages.error(request, "This customer can no longer be changed.")
    return True


def back_to(customer: Customer, tab: str = "") -> HttpResponse:
    url = reverse("admin:customers_customer_change", args=[customer.pk])
    return HttpResponseRedirect(f"{url}#{tab}" if tab else url)


def operation_page(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, template: str, title: str, **context: Any
) -> HttpResponse:
    request.current_app = page.admin_site.name  # type: ignore[attr-defined]
    return TemplateResponse(
        request,
        f"backoffice/customer/{template}.html",
        {
            **page.admin_site.each_context(request),
            "opts": page.opts,
            "original": customer,
            "customer": customer,
            "title": title,
            "has_view_permission": True,
            **context,
        },
    )
