"""Merchant, stores and the team. Managers look, owners change; user accounts are the platform's."""

import zoneinfo
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from cloudpos.tenancy.access import forget_access
from cloudpos.tenancy.backoffice.access import BACKOFFICE_ROLES, StaffAccess, staff_access
from cloudpos.tenancy.backoffice.pages import TenantForm, TenantModelAdmin
from cloudpos.tenancy.formats import day
from cloudpos.tenancy.languages import language_choices
from cloudpos.tenancy.models import Membership, Merchant, Store, User, email_key
from cloudpos.tenancy.roles import Role


class MerchantForm(TenantForm):
    timezone = forms.ChoiceField(label="Time zone", choices=lambda: zones(""), widget=UnfoldAdminSelectWidget)
    language = forms.ChoiceField(choices=language_choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Merchant
        fields = ["name", "slug", "is_active", "currency", "country", "timezone", "language"]
        help_texts = {
            "slug": "Short name in lower case",
            "currency": "Three letters, such as GBP; it can't be changed later",
            "country": "Two letters, such as GB; how phone numbers without a country are read",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "language" in self.fields:
            language = self.fields["language"]
            language.choices = language_choices(self.instance.language)  # type: ignore[attr-defined]


class StoreForm(TenantForm):
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=lambda: zones("The merchant's"),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


def zones(empty: str) -> list[tuple[str, str]]:
    """The IANA zones that a place can be in, by region; `empty` is what no choice stands for."""
    names = sorted(
        name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/")
    )
    return [
        *([("", empty)] if empty else []),
        ("UTC", "UTC"),
        *((name, name.replace("_", " ")) for name in names),
    ]


@admin.register(Merchant)
class MerchantAdmin(TenantModelAdmin):
    list_title = "Merchant details"
    merchant_path = "pk"
    opens_single_row = True
    form = MerchantForm
    view_role = Role.OWNER
    edit_role = Role.OWNER
    list_display = ["name", "currency", "country", "timezone", "is_active"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "is_active"]}),
        ("Money, language and time", {"fields": ["currency", "country", "timezone", "language"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return staff_access(request).is_superuser

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if staff_access(request).is_superuser:
            # Amounts already recorded are in the old currency.
            return ["currency"] if obj else []
        return ["slug", "is_active", "currency"]

    def reach(self, access: StaffAccess, rows: QuerySet[Any], *, one: bool) -> QuerySet[Any]:
        # A superuser's list is where they find any merchant, whichever is current.
        return rows if access.is_superuser else access.reachable(rows, self.merchant_path)


@admin.register(Store)
class StoreAdmin(TenantModelAdmin):
    form = StoreForm
    add_role = edit_role = Role.OWNER
    list_display = ["name", "code", "city", "country", "time_zone", "is_active"]
    list_select_related = ["merchant"]
    fieldsets = [
        (None, {"fields": [("name", "code"), "timezone", "is_active"]}),
        ("Address", {"fields": ["street1", ("postal_code", "city"), "country", ("latitude", "longitude")]}),
    ]
    empty_icon = "store"
    empty_title = "No stores yet"
    empty_text = "Add the first store: tills name it in every request."

    @display(description="Time zone")
    def time_zone(self, store: Store) -> str:
        return store.timezone or store.merchant.timezone

    def save_model(self, request: HttpRequest, obj: Store, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        forget_access()


class RoleForm(TenantForm):
    """Changes a colleague's role, but never the last owner's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "store" in self.fields:
            self.fields["store"].empty_label = "All stores"  # type: ignore[attr-defined]
            self.fields["store"].help_text = ""

    def clean(self) -> None:
        super().clean()
        if self.instance._state.adding:
            return
        stays = self.cleaned_data.get("role") == Role.OWNER and self.cleaned_data.get("store") is None
        if not stays and is_last_owner(Membership.objects.get(pk=self.instance.pk)):
            raise ValidationError("Make somebody else owner of all stores first.", code="last_owner")


class ColleagueForm(RoleForm):
    """Adds a person to the team: an account that exists keeps its name and password."""

    email = forms.EmailField(label="E-mail address", widget=UnfoldAdminEmailInputWidget)
    name = forms.CharField(
        label="Name",
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Used for a new account",
    )
    password = forms.CharField(
        label="First password",
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Used for a new account; they change it after signing in",
    )

    class Meta:
        model = Membership
        fields = ["store", "role"]
        widgets = {"role": UnfoldAdminSelectWidget}

    def clean_email(self) -> str:
        return email_key(self.cleaned_data["email"])

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            validate_password(password, User(email=self.cleaned_data.get("email", "")))
        return password

    def clean(self) -> None:
        super().clean()
        if Membership.objects.for_merchant(self.instance.merchant_id).filter(
            user__email=self.cleaned_data.get("email", ""), store=self.cleaned_data.get("store")
        ):
            raise ValidationError(
                "This person already has a role there: change it in the list.", code="duplicate"
            )


def is_last_owner(membership: Membership) -> bool:
    """Whether the merchant would be left without an owner of all its stores."""
    if membership.role != Role.OWNER or membership.store_id is not None:
        return False
    others = Membership.objects.for_merchant(membership.merchant_id).filter(role=Role.OWNER, store=None)
    return not others.exclude(pk=membership.pk).exists()


@admin.register(Membership)
class MembershipAdmin(TenantModelAdmin):
    list_title, noun, nouns = "Team", "team member", "team members"
    view_role = add_role = edit_role = delete_role = Role.OWNER
    list_display = ["person", "email", "role_badge", "where", "since"]
    list_select_related = ["user", "store", "merchant"]
    ordering = ["user__name", "user__email"]
    readonly_fields = ["person", "email"]
    fields = ["person", "email", "role", "store"]
    add_fieldsets = [
        (None, {"fields": ["email", "role", "store"]}),
        ("New account", {"fields": ["name", "password"]}),
    ]
    empty_icon = "groups"

    def row_title(self, row: Membership) -> str:
        return str(row.user)

    @display(description="Since")
    def since(self, membership: Membership) -> str:
        return day(membership.created_at, get_current_timezone())

    @display(description="Name", ordering="user__name", header=False)
    def person(self, membership: Membership) -> str:
        return str(membership.user)

    @display(description="E-mail", ordering="user__email")
    def email(self, membership: Membership) -> str:
        return membership.user.email

    @display(
        description="Role",
        ordering="role",
        label={"Owner": "success", "Manager": "info", "Service": "warning"},
    )
    def role_badge(self, membership: Membership) -> str:
        return membership.get_role_display()

    @display(description="Where")
    def where(self, membership: Membership) -> str:
        return membership.store.name if membership.store else "All stores"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = RoleForm if obj else ColleagueForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Membership, form: forms.ModelForm, change: bool) -> None:
        if not change:
            obj.user = colleague(
                email=form.cleaned_data["email"],
                name=form.cleaned_data["name"],
                password=form.cleaned_data["password"],
            )
        super().save_model(request, obj, form, change)
        if obj.role in BACKOFFICE_ROLES and not obj.user.is_staff:
            obj.user.is_staff = True
            obj.user.save(update_fields=["is_staff"])
        forget_access()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Membership) and is_last_owner(obj))

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        super().delete_model(request, obj)
        forget_access()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        forget_access()


def colleague(*, email: str, name: str, password: str) -> User:
    """The account of `email`, made when there is none. An existing one is never changed: it may be another merchant's."""
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password or None, name=name)
    return user


class AccountCreationForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


class AccountForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class UserAdmin(TenantModelAdmin, DjangoUserAdmin):
    """Accounts belong to nobody's merchant, so only the platform's own people see them."""

    list_title = "User accounts"
    merchant_path = "memberships__merchant"
    view_role = None
    form = AccountForm
    add_form = AccountCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["email", "name", "is_active", "is_staff", "is_superuser", "created_at"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    filter_horizontal: list[str] = []
    readonly_fields = ["last_login", "created_at"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "created_at"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "password1", "password2"]})]

    def reach(self, access: StaffAccess, rows: QuerySet[Any], *, one: bool) -> QuerySet[Any]:
        return rows if access.is_superuser else rows.none()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return staff_access(request).is_superuser

    def has_add_permission(self, request: HttpRequest) -> bool:
        return staff_access(request).is_superuser

    def _may(self, request: HttpRequest, role: Role | None, obj: Any) -> bool:
        return staff_access(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What people did is kept under their id; an account is switched off instead.
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return list(self.list_display)

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return self.list_display
