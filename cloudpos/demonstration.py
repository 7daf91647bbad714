"""Who logs in to the demonstration merchant: known to everybody, so its loader refuses to run in production."""

MERCHANT_SLUG = "demo"
OWNER_EMAIL = "owner@demo.example"
MANAGER_EMAIL = "manager@demo.example"
CASHIER_EMAIL = "cashier@demo.example"
PASSWORD = "cloudpos-demo"  # noqa: S105 - printed by `manage.py welcome`
