"""The input layer: DRF serializers whose names are camelCase outside and whose fields are bound once per class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import SkipField, empty, get_error_detail

from cloudpos.api.fields import (
    LIST_ITEMS_MAX,
    AwareDateTimeField,
    CleanCharField,
    CoordinateField,
    MetadataField,
    MoneyField,
    QuantityField,
    StrictBooleanField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.naming import camel

__all__ = [
    "AwareDateTimeField",
    "CamelSerializer",
    "CleanCharField",
    "CoordinateField",
    "MetadataField",
    "MoneyField",
    "QuantityField",
    "StrictBooleanField",
    "StrictChoiceField",
    "StrictDateField",
    "StrictIntegerField",
    "StrictListField",
    "StrictUuidField",
]

_NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})
_shared_context: ContextVar[Mapping[str, Any]] = ContextVar("serializer_context", default=_NO_CONTEXT)


class CamelListSerializer(serializers.ListSerializer):
    """`many=True`: a bounded array, its errors named by index."""

    default_error_messages = {"not_a_list": "This must be a list."}
    child: serializers.Field[Any, Any, Any, Any]
    field_name: str
    max_length: int
    min_length: int | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LIST_ITEMS_MAX)
        super().__init__(*args, **kwargs)

    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        return dictionary.get(self.field_name, empty)

    def to_internal_value(self, data: Any) -> list[Any]:
        if type(data) is not list:
            self.fail("not_a_list")
        if not data and not self.allow_empty:
            self.fail("empty")
        if len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        if self.min_length is not None and len(data) < self.min_length:
            self.fail("min_length", min_length=self.min_length)
        rows: list[Any] = []
        errors: dict[Any, Any] = {}
        for index, item in enumerate(data):
            try:
                rows.append(self.child.run_validation(item))
            except ValidationError as exc:
                errors[index] = exc.detail
        if errors:
            raise ValidationError(errors)
        return rows


class _CamelMetaclass(serializers.SerializerMetaclass):
    """Renames declared fields to camelCase, and points their `source` at the Python name, at class creation."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
        inherited = {key for base in bases for key in getattr(base, "_declared_fields", {})}
        for key, value in list(attrs.items()):
            outside = camel(key)
            if outside == key:
                continue
            if isinstance(value, serializers.Field):
                if value.source is None:
                    value.source = key
                    # DRF copies a field by calling its class again.
                    value._kwargs["source"] = key  # type: ignore[attr-defined]
                attrs[outside] = attrs.pop(key)
            elif value is None and outside in inherited:
                attrs[outside] = attrs.pop(key)
        return super().__new__(mcs, name, bases, attrs)


class CamelSerializer(serializers.Serializer, metaclass=_CamelMetaclass):
    """What a caller may send.

        class AddressInput(CamelSerializer):
            postal_code = CleanCharField(max_length=20)          # "postalCode" outside, postal_code in the result

        values = AddressInput.parse(request.data)                # raises ValidationError with camelCase paths

    Names it does not know are refused with code `unknown_field`. Read-only fields, and the outside names in
    `ignored_fields` (typically `SHAPE.all_names`, so that what was read may be sent back), are ignored.
    `validate_<python name>` and `validate` work as in DRF. Serializers keep no state of their own: one bound
    instance per class serves every thread, and `self.context` is what `parse` was given.
    """

    ignored_fields: ClassVar[Iterable[str]] = ()
    default_error_messages = {"invalid": "This must be an object."}
    _bound_instances: ClassVar[dict[tuple[type, bool], CamelSerializer]] = {}

    class Meta:
        list_serializer_class = CamelListSerializer

    @classmethod
    def bound(cls, *, partial: bool = False) -> Self:
        """The shared instance: DRF would copy every field for each request."""
        key = (cls, partial)
        found = CamelSerializer._bound_instances.get(key)
        if found is None:
            found = cls(partial=partial)
            # What `parse` is given counts; a mapping of its own would be shared by all threads.
            del found.__dict__["_own_context"]
            found._compile()
            CamelSerializer._bound_instances[key] = found
        return found  # type: ignore[return-value]

    @classmethod
    def parse(
        cls, body: Any, *, partial: bool = False, context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The validated values by their Python names. `partial` (PATCH) requires nothing and sets no defaults."""
        token = _shared_context.set(context or _NO_CONTEXT)
        try:
            return cls.bound(partial=partial).run_validation(body)
        finally:
            _shared_context.reset(token)

    @property
    def _context(self) -> Mapping[str, Any]:
        own = self.__dict__.get("_own_context")
        return _shared_context.get() if own is None else own

    @_context.setter
    def _context(self, context: Mapping[str, Any]) -> None:
        self.__dict__["_own_context"] = context

    def _compile(self) -> None:
        plan: dict[str, tuple[serializers.Field, Callable[[Any], Any] | None, str] | None] = {}
        absent = []
        # Read once: a nested serializer compiles itself at its first use, when it knows its root.
        for name in self.ignored_fields:
            plan[name] = None
        for name, field in self.fields.items():
            if field.read_only:
                plan[name] = None
                continue
            if len(field.source_attrs) != 1:
                raise TypeError(f"{type(self).__name__}.{name}: source must be one name")
            source = field.source_attrs[0]
            plan[name] = (field, getattr(self, f"validate_{source}", None), source)
            if field.required or field.default is not empty:
                absent.append((name, field, source))
        self._absent = absent
        self._plan = plan

    def run_validation(self, data: Any = empty) -> Any:
        is_empty_value, data = self.validate_empty_values(data)
        if is_empty_value:
            return data
        value = self.to_internal_value(data)
        try:
            return self.validate(value)
        except DjangoValidationError as exc:
            raise ValidationError(serializers.as_serializer_error(exc)) from None
        except ValidationError as exc:
            if isinstance(exc.detail, dict):
                raise
            raise ValidationError(serializers.as_serializer_error(exc)) from None

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            raise ValidationError({"non_field_errors": [self._error("invalid")]})
        if "_plan" not in self.__dict__:
            self._compile()
        plan = self._plan
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, raw in data.items():
            try:
                entry = plan[name]
            except KeyError:
                errors[name] = [ErrorDetail("This field is not known here.", code="unknown_field")]
                continue
            if entry is None:
                continue
            field, hook, source = entry
            try:
                value = field.run_validation(raw)
                if hook is not None:
                    value = hook(value)
                values[source] = value
            except ValidationError as exc:
                errors[name] = exc.detail
            except DjangoValidationError as exc:
                errors[name] = get_error_detail(exc)
            except SkipField:
                pass
        for name, field, source in self._absent:
            if name not in data:
                try:
                    values[source] = field.run_validation(empty)
                except ValidationError as exc:
                    errors[name] = exc.detail
                except SkipField:
                    pass
        if errors:
            raise ValidationError(errors)
        return values

    def _error(self, code: str) -> ErrorDetail:
        return ErrorDetail(str(self.error_messages[code]), code=code)
