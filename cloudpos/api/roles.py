"""What a route may say instead of a least role. The roles themselves belong to cloudpos.tenancy."""

PUBLIC = "public"
"""The route needs no token."""
SIGNED_IN = "signed_in"
"""The route needs a token and no store: whose token it is, is all that it goes by."""
