"""Pages for bringing in customers from a file: upload, columns, check, import, and back."""
