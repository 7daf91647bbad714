"""Files that a merchant takes out: customers, the points ledger, purchases. Any number of rows. See docs/adr/0035-exports.md."""
