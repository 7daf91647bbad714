"""Long work that has a row: its state, progress, counts, result and error are read while it runs, and it can be stopped."""
