"""What a caller sends to log in, and what comes back."""

from cloudpos.api.rendering import RowShape
from cloudpos.api.serializers import CamelSerializer, CleanCharField
from cloudpos.tenancy.services import STORES_LISTED_MAX

PASSWORD_CHARS_MAX = 200
REFRESH_CHARS_MAX = 4096


class LoginInput(CamelSerializer):
    email = CleanCharField(max_length=254)
    password = CleanCharField(max_length=PASSWORD_CHARS_MAX, trim_whitespace=False)


class RefreshInput(CamelSerializer):
    refresh = CleanCharField(max_length=REFRESH_CHARS_MAX)


_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}

STORE_ACCESS = RowShape(
    "StoreAccess",
    [],
    extra={
        "id": {**_ID, "description": "What to send as x-store-id"},
        "name": _TEXT,
        "code": _TEXT,
        "merchantId": _ID,
        "merchantName": _TEXT,
        "role": {"type": "string", "enum": ["cashier", "service", "manager", "owner"]},
        "currency": {**_TEXT, "description": "The merchant's, of every amount"},
        "timezone": {**_TEXT, "description": "The store's, else the merchant's: whose days are meant"},
    },
)

PERSON = RowShape("Person", [], extra={"id": _ID, "email": _TEXT, "name": _TEXT})

ME = RowShape(
    "Me",
    [],
    extra={
        "user": PERSON,
        "stores": {
            "type": "array",
            "items": STORE_ACCESS,
            "description": f"By merchant and name; the first {STORES_LISTED_MAX}",
        },
    },
)

TOKENS = RowShape(
    "Tokens",
    [],
    extra={
        "access": {"type": "string", "description": "For Authorization: Bearer"},
        "refresh": {"type": "string", "description": "Works once, at /auth/refresh"},
        "tokenType": {"type": "string", "enum": ["Bearer"]},
        "expiresIn": {"type": "integer", "description": "Seconds until the access token expires"},
        "user": PERSON,
        "stores": ME.extra["stores"],
    },
)
