"""The admin's ground: who may see which merchant, and the base classes of every admin page."""
