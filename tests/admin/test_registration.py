"""Every page of the admin is limited to the person's merchants, and none can be registered that is not."""

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from cloudpos.tenancy.backoffice.pages import TenantAdmin, TenantInline
from customers.models import Address

PAGES = list(admin.site._registry.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: type(page).__name__)
def test_every_page_is_a_tenant_admin(page: ModelAdmin) -> None:
    assert isinstance(page, TenantAdmin)
    # In front of Django's classes: its own methods must be the ones that run.
    mro = type(page).__mro__
    assert mro.index(TenantAdmin) < mro.index(ModelAdmin)
    assert all(issubclass(inline, TenantInline) for inline in page.inlines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: type(page).__name__)
def test_no_filter_lists_rows_of_a_table(page: ModelAdmin) -> None:
    """Django's filter of a reference offers every merchant's rows as choices."""
    for entry in page.list_filter:
        if isinstance(entry, str):
            assert not isinstance(page.model._meta.get_field(entry), models.ForeignKey), entry
        else:
            assert issubclass(entry, SimpleListFilter), entry


def test_a_page_without_the_mixin_is_refused() -> None:
    class Careless(ModelAdmin):
        pass

    with pytest.raises(ImproperlyConfigured, match="TenantAdmin"):
        admin.site.register(Address, Careless)
    with pytest.raises(ImproperlyConfigured, match="TenantAdmin"):
        admin.site.register(Address)
    assert Address not in admin.site._registry


def test_pages_of_libraries_stay_out() -> None:
    assert {model._meta.app_label for model in admin.site._registry} == {
        "cloudpos",
        "customers",
        "loyalty",
        "marketing",
        "tenancy",
    }
