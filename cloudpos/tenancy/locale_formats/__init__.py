"""How Django writes dates and numbers where no code of ours does."""
