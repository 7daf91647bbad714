"""A customer of a merchant, their addresses, and what happened to the record itself."""

from decimal import ROUND_HALF_UP, Decimal

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Left, StrIndex
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantModel
from customers.querysets import AddressManager, CustomerManager
from customers.search import HEAD_CHARS, WORD, LexemesField

TAGS_MAX = 50
TAG_CHARS_MAX = 50
METADATA_BYTES_MAX = 16_384


LAST_VISIT = Func(
    F("last_visit_at"),
    template="COALESCE(%(expressions)s, '-infinity'::timestamptz)",
    output_field=models.DateTimeField(),
)


class Customer(TenantModel):
    """One person or business.

    The *standing* columns (tier to last_visit_at) are computed by other parts: each has exactly one writer, and is
    written only through `customers.services`.
    """

    class Type(models.TextChoices):
        INDIVIDUAL = "individual", "Individual"
        BUSINESS = "business", "Business"

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        INACTIVE = "inactive", "Inactive"
        SUSPENDED = "suspended", "Suspended"

    class Segment(models.TextChoices):
        NEW = "new", "New"
        REGULAR = "regular", "Regular"
        VIP = "vip", "VIP"
        AT_RISK = "at_risk", "At risk"
        CHURNED = "churned", "Churned"

    class Gender(models.TextChoices):
        UNKNOWN = "", "Not said"
        FEMALE = "female", "Female"
        MALE = "male", "Male"
        DIVERSE = "diverse", "Diverse"

    customer_number = models.CharField(max_length=12, help_text="Random digits with a Luhn check digit")
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.INDIVIDUAL)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    company_name = models.CharField(max_length=200, blank=True)
    tax_id = models.CharField(max_length=40, blank=True)
    email = models.CharField(max_length=254, blank=True)
    email_key = models.CharField(
        max_length=254, blank=True, editable=False, help_text="Case-folded, IDNA: one person, one key"
    )
    phone = models.CharField(max_length=16, blank=True, help_text="E.164, e.g. +442071838750")
    date_of_birth = models.DateField(null=True, blank=True)
    gender = models.CharField(max_length=10, choices=Gender.choices, blank=True, default="")
    language = models.CharField(max_length=10, blank=True)
    notes = models.TextField(blank=True, max_length=5000)
    tags = ArrayField(models.CharField(max_length=TAG_CHARS_MAX), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    home_store = TenantForeignKey(
        Store, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )

    # Standing. Writers: loyalty (tier, points), analytics (segment), recording a purchase or return (the rest).
    tier = models.CharField(max_length=20, blank=True, default="", editable=False)
    points = models.BigIntegerField(default=0, editable=False)
    segment = models.CharField(max_length=10, choices=Segment.choices, default=Segment.NEW, editable=False)
    total_spent = models.DecimalField(max_digits=14, decimal_places=2, default=Decimal(0), editable=False)
    visit_count = models.IntegerField(default=0, editable=False, help_text="Number of purchases")
    first_visit_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_visit_at = models.DateTimeField(null=True, blank=True, editable=False)

    search = LexemesField(editable=False, default=list)
    sort_name = models.CharField(
        max_length=200, blank=True, editable=False, help_text="Folded last, first or company name"
    )
    version = models.IntegerField(
        default=1, editable=False, help_text="Counts changes of anything the customer's JSON shows"
    )
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    merged_into = TenantForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="merged_from",
        db_index=False,
    )

    objects = CustomerManager()  # type: ignore[assignment, misc]  # more than the base has

    class Meta:
        db_table = "customers"
        constraints = [
            unique_in_merchant("customers"),
            *tenant_references("customers", "home_store", "merged_into"),
            models.UniqueConstraint(fields=["merchant", "customer_number"], name="customers_number_uniq"),
            models.UniqueConstraint(
                fields=["merchant", "email_key"],
                name="customers_email_uniq",
                condition=Q(deleted_at=None) & ~Q(email_key=""),
            ),
            models.UniqueConstraint(
                fields=["merchant", "phone"],
                name="customers_phone_uniq",
                condition=Q(deleted_at=None) & ~Q(phone=""),
            ),
            models.CheckConstraint(
                condition=Q(type__in=["individual", "business"]), name="customers_type_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "inactive", "suspended"]), name="customers_status_known"
            ),
            models.CheckConstraint(
                condition=Q(segment__in=["new", "regular", "vip", "at_risk", "churned"]),
                name="customers_segment_known",
            ),
            models.CheckConstraint(condition=Q(visit_count__gte=0), name="customers_visit_count_positive"),
            models.CheckConstraint(
                condition=Q(merged_into=None) | ~Q(deleted_at=None), name="customers_merged_is_hidden"
            ),
        ]
        indexes = [
            # One per sort order of the list; the id makes the order total, for cursors.
            models.Index(
                fields=["merchant", "-created_at", "-id"],
                name="customers_created_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(
                fields=["merchant", "sort_name", "id"],
                name="customers_name_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(
                fields=["merchant", "email_key", "id"],
                name="customers_email_idx",
                condition=Q(deleted_at=None),
            ),
            # Who never came is further back than anyone: one index for both directions and for cursors.
            models.Index(
                F("merchant"),
                LAST_VISIT,
                F("id"),
                name="customers_last_visit_idx",
                condition=Q(deleted_at=None),
            ),
            # What the counters say is rare is found here, not by walking past everybody else.
            models.Index(
                fields=["merchant", "segment", "tier", "status", "type"],
                name="customers_standing_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(
                fields=["merchant", "total_spent", "id"],
                name="customers_spent_idx",
                condition=Q(deleted_at=None),
            ),
            GinIndex(fields=["search"], name="customers_search_idx", fastupdate=False),
            # Who is hidden is few, and asked for where an import brings them anew: did they withdraw consent?
            models.Index(
                fields=["merchant", "email_key"],
                name="customers_gone_email_idx",
                condition=~Q(deleted_at=None) & ~Q(email_key=""),
            ),
            models.Index(
                fields=["merchant", "phone"],
                name="customers_gone_phone_idx",
                condition=~Q(deleted_at=None) & ~Q(phone=""),
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        person = f"{self.first_name} {self.last_name}".strip()
        return self.company_name or person or self.email or self.phone or f"Customer {self.customer_number}"

    @property
    def average_order_value(self) -> Decimal:
        """Net spend per purchase, in the merchant's currency; 0 before the first purchase."""
        if not self.visit_count:
            return Decimal("0.00")
        return (self.total_spent / self.visit_count).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


class CustomerCount(models.Model):
    """Counters behind the totals of the list: how many visible customers per merchant and standing.

    Written by triggers as signed deltas, one row per statement and group, so that concurrent tills never wait for
    each other's counter; `customers.tasks.compact_counts` folds them.
    """

    id = models.BigAutoField(primary_key=True)
    merchant_id = models.UUIDField()
    status = models.CharField(max_length=10)
    type = models.CharField(max_length=10)
    segment = models.CharField(max_length=10)
    tier = models.CharField(max_length=20)
    n = models.BigIntegerField()

    class Meta:
        db_table = "customer_counts"
        indexes = [
            models.Index(
                fields=["merchant_id"],
                include=["status", "type", "segment", "tier", "n"],
                name="customer_counts_idx",
            )
        ]


class CustomerWord(models.Model):
    """Which visible customers a word finds, newest last: its two indexes are all that a search by name reads.

    The primary key counts those of the start of a word. The other one has the newest of a frequent start at hand, whichever
    words begin so. Written by triggers from `Customer.search`: its lexemes that are words and begin with a letter. They
    carry the merchant.
    """

    pk = models.CompositePrimaryKey("lexeme", "created_at", "customer_id")
    lexeme = models.TextField(db_collation="C")
    created_at = models.DateTimeField()
    customer_id = models.UUIDField()

    class Meta:
        db_table = "customer_words"
        indexes = [
            models.Index(
                Left("lexeme", StrIndex("lexeme", Value(":")) + (HEAD_CHARS + len(WORD))),
                F("created_at"),
                F("customer_id"),
                include=["lexeme"],
                name="customer_words_head_idx",
            )
        ]


class Address(TenantModel):
    class Type(models.TextChoices):
        HOME = "home", "Home"
        WORK = "work", "Work"
        BILLING = "billing", "Billing"
        SHIPPING = "shipping", "Shipping"
        OTHER = "other", "Other"

    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="addresses", db_index=False)
    label = models.CharField(max_length=50, blank=True)
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.HOME)
    street1 = models.CharField(max_length=200)
    street2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100)
    state = models.CharField(max_length=100, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2")
    latitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    longitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    is_default = models.BooleanField(default=False)
    instructions = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    objects = AddressManager()  # type: ignore[assignment, misc]  # as above

    class Meta:
        db_table = "customer_addresses"
        verbose_name_plural = "addresses"
        constraints = [
            *tenant_references("customer_addresses", "customer"),
            models.UniqueConstraint(
                fields=["merchant", "customer"],
                name="customer_addresses_one_default",
                condition=Q(is_default=True),
            ),
            models.CheckConstraint(
                condition=Q(latitude=None, longitude=None)
                | Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="customer_addresses_coordinates",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer", "created_at"], name="customer_addresses_idx"),
            # A latitude band first, then the exact distance: near= needs no extension.
            models.Index(
                fields=["merchant", "latitude", "longitude"],
                name="customer_addresses_geo_idx",
                condition=Q(latitude__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.street1, self.postal_code, self.city, self.country]))


class Merge(TenantModel):
    """One customer folded into another, with what is needed to take it apart again."""

    source = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    target = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    moved = models.JSONField(help_text="Ids of the rows that moved and the target's fields before")
    actor_id = models.UUIDField(null=True, blank=True)
    merged_at = models.DateTimeField(default=now)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "customer_merges"
        constraints = [*tenant_references("customer_merges", "source", "target")]
        indexes = [
            models.Index(fields=["merchant", "target", "-merged_at"], name="customer_merges_target_idx")
        ]


class Erasure(TenantModel):
    """The receipt of a customer's right to be forgotten: what went, what was kept, and why."""

    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    receipt = models.JSONField()
    actor_id = models.UUIDField(null=True, blank=True)
    erased_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "customer_erasures"
        constraints = [*tenant_references("customer_erasures", "customer")]
        indexes = [models.Index(fields=["merchant", "customer"], name="customer_erasures_idx")]
