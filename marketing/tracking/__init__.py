"""What becomes of messages: opened, followed, delivered, bounced, complained about."""

from marketing.tracking.rewriting import track

__all__ = ["track"]
