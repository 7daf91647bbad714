"""The life of a customer's record as a whole: timeline, merge and its undo, export, erasure.

Like cloudpos.checkout it sees several domains; no domain sees it.
"""
