"""Chainable filters of customers, tenant first."""

import math
import uuid
from decimal import Decimal
from typing import Any, Self

from django.db.models import FloatField, Manager, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Cos, Power, Radians, Sin

from cloudpos.tenancy.models import Merchant, TenantQuerySet

EARTH_RADIUS_KM = 6371.0088
KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180
DEGREE_PLACES = Decimal("0.000001")


class CustomerQuerySet(TenantQuerySet):
    def visible(self) -> Self:
        """Neither deleted nor merged away."""
        return self.filter(deleted_at=None)

    def with_email(self, has: bool) -> Self:
        return self.exclude(email_key="") if has else self.filter(email_key="")

    def with_phone(self, has: bool) -> Self:
        return self.exclude(phone="") if has else self.filter(phone="")

    def matching(self, tsquery: str) -> Self:
        """Those whose lexemes match a literal of `customers.search`."""
        return self.filter(search__matches=tsquery)

    def with_address_in(self, addresses: "AddressQuerySet") -> Self:
        """Those who have one of these addresses of the same merchant."""
        return self.filter(pk__in=addresses.values("customer_id"))


class AddressQuerySet(TenantQuerySet):
    def near(self, *, latitude: float, longitude: float, radius_km: float) -> Self:
        """Within `radius_km` of a point on the sphere. A band of latitudes, which an index answers, comes first."""
        degrees = radius_km / KM_PER_DEGREE
        south, north = latitude - degrees, latitude + degrees
        close = self.filter(latitude__range=(_places(max(south, -90)), _places(min(north, 90))))
        if south > -90 and north < 90:
            close = close.filter(_longitudes(longitude, _widest(latitude, degrees)))
        # Compared before the arc is made of it: two functions less for each address of a wide circle.
        most = math.sin(radius_km / (2 * EARTH_RADIUS_KM)) ** 2
        return close.alias(haversine=_haversine(latitude, longitude)).filter(haversine__lte=most)


def _haversine(latitude: float, longitude: float) -> Combinable:
    """Of the arc from a point: sin(km / 2 R) squared (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984).

    It grows with the distance up to the other end of the earth.
    """
    there = Radians(Cast("latitude", FloatField()))
    half_across = (Radians(Cast("longitude", FloatField())) - math.radians(longitude)) / 2
    half_up = (there - math.radians(latitude)) / 2
    return Power(Sin(half_up), 2) + Cos(there) * math.cos(math.radians(latitude)) * Power(Sin(half_across), 2)


def _widest(latitude: float, degrees: float) -> float:
    """Half the width, in degrees of longitude, of a circle of `degrees` that holds no pole."""
    ratio = math.sin(math.radians(degrees)) / math.cos(math.radians(latitude))
    return math.degrees(math.asin(min(1.0, ratio)))


def _longitudes(longitude: float, width: float) -> Q:
    west, east = longitude - width, longitude + width
    if west >= -180 and east <= 180:
        return Q(longitude__range=(_places(west), _places(east)))
    # Across the date line: two ranges.
    west, east = (west + 540) % 360 - 180, (east + 540) % 360 - 180
    return Q(longitude__gte=_places(west)) | Q(longitude__lte=_places(east))


def _places(degrees: float) -> Decimal:
    return Decimal(repr(degrees)).quantize(DEGREE_PLACES)


class CustomerManager(Manager[Any]):
    """Written out: the type checker loses managers made by `as_manager()` when it checks incrementally."""

    def get_queryset(self) -> CustomerQuerySet:
        return CustomerQuerySet(self.model, using=self._db)

    def for_merchant(self, merchant: Merchant | uuid.UUID) -> CustomerQuerySet:
        """The customers of one merchant: where every query starts."""
        return self.get_queryset().for_merchant(merchant)


class AddressManager(Manager[Any]):
    """As above."""

    def get_queryset(self) -> AddressQuerySet:
        return AddressQuerySet(self.model, using=self._db)

    def for_merchant(self, merchant: Merchant | uuid.UUID) -> AddressQuerySet:
        """The addresses of one merchant's customers."""
        return self.get_queryset().for_merchant(merchant)
