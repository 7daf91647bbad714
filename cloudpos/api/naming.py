"""snake_case inside, camelCase outside. Called when classes are created, never per request."""

import re

_BOUNDARY = re.compile(r"_([a-z0-9])")


def camel(name: str) -> str:
    """`postal_code` -> `postalCode`, `address.postal_code` -> `address.postalCode`."""
    return _BOUNDARY.sub(lambda match: match.group(1).upper(), name)
