"""What every operation of the API has in common, in OpenAPI's words."""

from cloudpos.api.rendering import Schema

INTRODUCTION = """\
Customers, purchases, points and consent of a merchant, for tills and back offices.

**First request.** Log in, then send the token and the store with every request. The answer to the log-in lists the stores;
whoever was given a token asks `/api/v1/me`, which needs no store:

```sh
curl -s $HOST/api/v1/auth/token -H 'Content-Type: application/json' \\
  -d '{"email": "owner@example.com", "password": "..."}'
curl -s $HOST/api/v1/me -H "Authorization: Bearer $ACCESS"
curl -s "$HOST/api/v1/customers?query=ann&limit=5" \\
  -H "Authorization: Bearer $ACCESS" -H "x-store-id: $STORE"
```

**Answers** are `{"success": true, "data": ..., "message": "..."}`; errors are
`{"success": false, "message": "...", "errors": [{"field", "message", "code"}], "code": "...", "requestId": "..."}`
with the path of each field, such as `items.3.quantity`. Unknown fields and parameters are refused.

**Values.** Names are camelCase; money is a string (`"12.50"`) in the merchant's currency; times are ISO 8601 with
an offset; a day is a day in the store's time zone.

**Sending again.** Any write may carry an `Idempotency-Key`. The same key with the same body is done once and answered alike
(`Idempotent-Replayed: true`), for seven days; with another body, or with another `x-store-id`, it is 422; while the first is
running, 409. A key is one person's, at one path: what another sends under it is a request of its own. Errors are not kept: what
failed may be sent again with its key.

**Changing what others change.** `ETag` is a row's version: send it as `If-Match` and a stale write is 412.

**Limits.** `RateLimit-Limit`, `-Remaining` and `-Reset` tell the state of the minute; beyond it 429 says when to come back.
"""

ERRORS = {
    400: "The request is not valid; `errors` names each field.",
    401: "No token, or one that is not valid.",
    403: "No access to this store, or a role that is too low.",
    404: "Absent, or another merchant's.",
    406: "The service answers in JSON only.",
    408: "The body did not arrive in time.",
    409: "Conflicts with the current state, or the same Idempotency-Key is still running.",
    410: "It was deleted.",
    411: "The body came without a Content-Length.",
    412: "`If-Match` names a version that is not the current one.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The file ends before what `Range` asks for; `Content-Range` says how long it is.",
    422: "The Idempotency-Key was used before with another request, or at another store.",
    429: "Too many requests; see `Retry-After`.",
    500: "A defect on our side; it has been logged under `requestId`.",
    503: "Busy or unavailable for a moment; see `Retry-After`.",
}
RATE_HEADERS = {
    "RateLimit-Limit": {"schema": {"type": "integer"}, "description": "Requests allowed per minute."},
    "RateLimit-Remaining": {"schema": {"type": "integer"}, "description": "Requests left in this minute."},
    "RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Seconds until the minute ends."},
}
RANGE_PARAMETERS = [
    {
        "name": "Range",
        "in": "header",
        "description": "One range of bytes, such as `bytes=1048576-`.",
        "schema": {"type": "string"},
    },
    {
        "name": "If-Range",
        "in": "header",
        "description": "The ETag of the file that the range is of.",
        "schema": {"type": "string"},
    },
]
RANGE_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "Of this file in this encoding, for `If-Range`."},
    "Accept-Ranges": {"schema": {"type": "string"}, "description": "bytes"},
    "Content-Range": {"schema": {"type": "string"}, "description": "Of a 206: which bytes of how many."},
}
RETRY_HEADER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}

COMPONENTS: dict[str, dict[str, Schema]] = {
    "securitySchemes": {
        "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "storeId": {
            "type": "apiKey",
            "in": "header",
            "name": "x-store-id",
            "description": "The store at which the caller works (a UUID).",
        },
    },
    "schemas": {
        "FieldError": {
            "type": "object",
            "properties": {
                "field": {
                    "type": ["string", "null"],
                    "description": "Path of the field, such as items.3.quantity.",
                },
                "message": {"type": "string"},
                "code": {"type": "string"},
            },
            "required": ["field", "message", "code"],
        },
        "ErrorResponse": {
            "type": "object",
            "description": "Every error, of any status. Some codes add facts of their own beside these.",
            "properties": {
                "success": {"type": "boolean", "enum": [False]},
                "message": {"type": "string"},
                "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
                "code": {"type": "string"},
                "requestId": {"type": "string"},
            },
            "required": ["success", "message", "errors", "code", "requestId"],
            "additionalProperties": True,
        },
    },
}
