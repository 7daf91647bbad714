"""Merchant > Store, the people who work there, and the base of every tenant-owned table."""

import uuid
import zoneinfo
from typing import Any, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.timezone import now

from cloudpos.ids import new_id
from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.fields import TenantForeignKey
from cloudpos.tenancy.roles import Role

__all__ = [
    "Membership",
    "Merchant",
    "Role",
    "Store",
    "TenantForeignKey",
    "TenantModel",
    "TenantPart",
    "TenantQuerySet",
    "User",
]


def validate_timezone(value: str) -> None:
    """Raise ValidationError unless `value` is an IANA zone such as Pacific/Auckland."""
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError(
            f"{value!r} is not a time zone such as Europe/London", code="timezone"
        ) from None


def new_search_key() -> str:
    """Eight random hexadecimal digits that lead every search lexeme of a merchant.

    Two merchants with the same key would only read a little more of the index: rows are always also filtered
    by merchant_id.
    """
    return new_id().hex[-8:]


currency_validator = RegexValidator(r"^[A-Z]{3}$", "An ISO 4217 code such as GBP", code="currency")
country_validator = RegexValidator(r"^[A-Z]{2}$", "An ISO 3166-1 alpha-2 code such as GB", code="country")


class Merchant(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=80, unique=True)
    currency = models.CharField(max_length=3, default="USD", validators=[currency_validator])
    country = models.CharField(max_length=2, default="US", validators=[country_validator])
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_timezone])
    language = models.CharField(max_length=10, default="en")
    search_key = models.CharField(max_length=8, default=new_search_key, editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "merchants"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def tz(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)


class TenantQuerySet(models.QuerySet[Any]):
    def for_merchant(self, merchant: "Merchant | uuid.UUID") -> Self:
        """The rows of one merchant: where every query starts."""
        return self.filter(merchant_id=merchant.pk if isinstance(merchant, Merchant) else merchant)


class TenantModel(models.Model):
    """A row that belongs to one merchant. Its updates are addressed by (merchant, id), never by id alone."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+", db_index=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        abstract = True

    def _do_update(self, base_qs: Any, *args: Any, **kwargs: Any) -> bool:
        mine = base_qs.filter(merchant_id=self.merchant_id)
        return bool(super()._do_update(mine, *args, **kwargs))  # type: ignore[misc]  # private to Django


class TenantPart(TenantModel):
    """A row that always refers to another of its merchant's: that reference (merchant_id, x_id) proves the merchant too.

    A foreign key on the merchant alone would prove it again for every row of a sale, and lock the merchant's row for it.
    """

    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True


class Store(TenantModel):
    name = models.CharField(max_length=200)
    code = models.CharField(
        max_length=40, help_text="Short name on receipts and in reports, unique per merchant"
    )
    timezone = models.CharField(max_length=64, blank=True, validators=[validate_timezone])
    street1 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, blank=True, validators=[country_validator])
    latitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    longitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "stores"
        ordering = ["name"]
        constraints = [
            unique_in_merchant("stores"),
            models.UniqueConstraint(fields=["merchant", "code"], name="stores_code_uniq"),
        ]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email_key(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=email_key(username or ""))


def email_key(email: str) -> str:
    """The one spelling under which a person logs in."""
    return email.strip().casefold()


class User(AbstractBaseUser, PermissionsMixin):
    """A person or a machine that logs in. What they may see comes from their memberships."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may use the admin", default=False)
    created_at = models.DateTimeField(default=now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        db_table = "users"
        ordering = ["email"]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class Membership(TenantModel):
    """A user's role at one store, or at every store of the merchant when `store` is empty."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    store = TenantForeignKey(
        Store,
        on_delete=models.CASCADE,
        related_name="memberships",
        null=True,
        blank=True,
        help_text="Empty: all stores",
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.CASHIER)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "memberships"
        constraints = [
            *tenant_references("memberships", "store"),
            models.UniqueConstraint(
                fields=["merchant", "user", "store"], name="memberships_uniq", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="memberships_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.get_role_display()}"
