"""How figures look outside, one file per resource."""
