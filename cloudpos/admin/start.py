"""What answers at the service's bare address."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe


@require_safe
def start_page(request: HttpRequest) -> HttpResponse:
    """Where to go from here, for whoever typed the address only."""
    return render(request, "start.html")


@require_safe
def lead_to_docs(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(reverse("docs"))


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Asked for by browsers on pages that name no icon."""
    return HttpResponseRedirect(static("cloudpos/favicon.svg"))
