"""The one role that the API layer knows; the others belong to cloudpos.tenancy."""

PUBLIC = "public"
"""Instead of a role: the route needs no token."""
