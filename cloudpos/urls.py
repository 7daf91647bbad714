"""Every route of the service. No path of the API ends with a slash: one that does answers 404."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from cloudpos.admin.campaigns.messaging import messaging_page
from cloudpos.admin.jobs import job_page, jobs_page, stop_job
from cloudpos.admin.liability import liability
from cloudpos.admin.promotion_calendar import promotion_calendar
from cloudpos.admin.start import favicon, lead_to_docs, start_page
from marketing.consents.pages import ConfirmView, PreferencesView, UnsubscribeView
from marketing.webhooks.docs import webhook_docs

urlpatterns = [
    path(
        "api/v1/",
        include(
            [
                # Tills first: patterns are tried in this order.
                path("", include("cloudpos.checkout.urls")),
                path("", include("cloudpos.lifecycle.urls")),
                # Before customers, whose /customers/{id} must not shadow /customers/loyalty.
                path("", include("loyalty.urls")),
                path("", include("customers.urls")),
                path("", include("cloudpos.tenancy.urls")),
                path("", include("cloudpos.jobs.urls")),
                path("", include("analytics.urls")),
                path("", include("marketing.urls")),
                path("", include("cloudpos.exports.urls")),
            ]
        ),
    ),
    path("", include("cloudpos.api.urls")),
    path("", start_page, name="start"),
    # Pages for customers, behind signed links.
    path("unsubscribe/<str:token>", UnsubscribeView.as_view(), name="unsubscribe"),
    path("preferences/<str:token>", PreferencesView.as_view(), name="preferences"),
    path("confirm/<str:token>", ConfirmView.as_view(), name="confirm"),
    # Their clicks, and what providers report.
    path("", include("marketing.tracking.urls")),
    path("favicon.ico", favicon, name="favicon"),
    # Typed by people: what is nearly an address of a page leads to it.
    path("api/docs/", lead_to_docs),
    path("api/docs/webhooks", webhook_docs, name="webhook-docs"),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    # Pages of no model.
    path("admin/loyalty/liability/", admin.site.admin_view(liability), name="liability"),
    path(
        "admin/loyalty/promotion-calendar/",
        admin.site.admin_view(promotion_calendar),
        name="promotion_calendar",
    ),
    path("admin/jobs/", admin.site.admin_view(jobs_page), name="jobs_page"),
    path("admin/jobs/<uuid:job_id>/", admin.site.admin_view(job_page), name="job_page"),
    path("admin/jobs/<uuid:job_id>/stop/", admin.site.admin_view(stop_job), name="stop_job"),
    path("admin/messaging/", messaging_page, name="messaging_page"),
    path("admin/analytics/", include("cloudpos.admin.analytics.urls")),
    path("admin/segments/", include("cloudpos.admin.segments.urls")),
    path("admin/event-types/", include("cloudpos.admin.events.urls")),
    path("admin/campaigns/", include("cloudpos.admin.campaigns.urls")),
    path("admin/imports/", include("cloudpos.admin.imports.urls")),
    path("admin/exports/", include("cloudpos.admin.exports.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "cloudpos.api.error_pages.bad_request"
handler403 = "cloudpos.api.error_pages.permission_denied"
handler404 = "cloudpos.api.error_pages.page_not_found"
handler500 = "cloudpos.api.error_pages.server_error"
