"""Ways in which messages leave."""

from marketing.channels.choosing import sender_for
from marketing.channels.outgoing import NoProvider, Outcome, Outgoing, Sender

__all__ = ["NoProvider", "Outcome", "Outgoing", "Sender", "sender_for"]
