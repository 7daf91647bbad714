"""The constraints that make violations impossible: what they refuse is looked for only when one of them is not in force."""

from loyalty.verification.checks import Check

# One effect per (store, type, transaction), one earning per purchase.
EFFECTS = ("loyalty_transactions_effect_uniq", "loyalty_transactions_sale_earns_once")
# Foreign keys with the merchant in them.
KEYS = (
    "loyalty_enrollments_customer_tenant_fk",
    "loyalty_enrollments_program_tenant_fk",
    "loyalty_transactions_enrollment_tenant_fk",
    "loyalty_transactions_purchase_tenant_fk",
    "loyalty_transactions_purchase_return_tenant_fk",
    "loyalty_transactions_reverses_tenant_fk",
    "loyalty_transactions_store_tenant_fk",
    "loyalty_lots_enrollment_tenant_fk",
    "loyalty_lots_entry_tenant_fk",
    "loyalty_lots_purchase_tenant_fk",
    "loyalty_allocations_entry_tenant_fk",
    "loyalty_allocations_lot_tenant_fk",
    "loyalty_shortfalls_enrollment_tenant_fk",
    "loyalty_shortfalls_purchase_tenant_fk",
    "loyalty_shortfalls_purchase_return_tenant_fk",
    "loyalty_holds_customer_tenant_fk",
    "loyalty_holds_entry_tenant_fk",
    "loyalty_redemptions_customer_tenant_fk",
    "loyalty_redemptions_entry_tenant_fk",
    "loyalty_redemptions_hold_tenant_fk",
)
BOUNDS = ("loyalty_transactions_points_bounds",)
# Nothing is left out because of these; without them damage is only a matter of time.
OTHERS = (
    "loyalty_transactions_version_uniq",
    "loyalty_transactions_arithmetic",
    "loyalty_lots_remaining_bounds",
    "loyalty_allocations_uniq",
    "loyalty_allocations_expires_once",
    "loyalty_allocations_points_positive",
    "loyalty_holds_captured_once",
    "loyalty_holds_closed_at",
    "loyalty_holds_transaction_uniq",
    "loyalty_redemptions_entry_uniq",
    "loyalty_redemptions_transaction_uniq",
    "loyalty_rewards_stock_holds",
    "loyalty_vouchers_given_once",
    "loyalty_promotions_total_caps_hold",
    "loyalty_awards_uniq",
    "loyalty_awards_entry_uniq",
    "loyalty_enrollments_uniq",
    "loyalty_programs_one_active",
)

_NAMES = ", ".join(f"'{name}'" for name in (*EFFECTS, *KEYS, *BOUNDS, *OTHERS))

GUARDS = Check(
    0,
    "the constraints that the ledger rests on are in force",
    f"""
    SELECT '00000000-0000-0000-0000-000000000000'::uuid, g.name, 'it is missing, not validated or switched off'
    FROM unnest(ARRAY[{_NAMES}]) g (name)
    WHERE NOT EXISTS (
        SELECT 1 FROM pg_constraint c WHERE c.conname = g.name AND c.convalidated AND pg_table_is_visible(c.conrelid)
            AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled NOT IN ('O', 'A'))
    ) AND NOT EXISTS (
        SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relname = g.name AND i.indisunique AND i.indisvalid AND pg_table_is_visible(c.oid)
    )
    """,  # noqa: S608
)
