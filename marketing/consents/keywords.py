"""What customers answer to a text message: STOP, START and HELP, as carriers ask every sender to honour them."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from customers.models import Channel, Purpose
from customers.services import CustomerNotFound, find_customer, say_for_oneself

SOURCE = "text message"
# The words of the CTIA's messaging principles, and what they mean in German, French, Spanish and Dutch.
STOP_WORDS = frozenset(
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"]
    + ["STOPP", "ABMELDEN", "ARRET", "ARRÊT", "ALTO", "PARAR", "BAJA", "AFMELDEN"]
)
START_WORDS = frozenset(["START", "UNSTOP", "SUBSCRIBE", "YES"])
HELP_WORDS = frozenset(["HELP", "INFO"])


class Keyword(StrEnum):
    STOP = "stop"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Heard:
    """keyword: None where the message is none; customer_id: None where nobody has this number; reply: "" where none is due."""

    keyword: Keyword | None
    customer_id: uuid.UUID | None
    reply: str


def keyword_of(text: str) -> Keyword | None:
    """A message that is one of the words, whatever its case and the signs around it. "Stop by tomorrow" is none."""
    word = text.strip().strip(".,!?\"'").upper()
    if word in STOP_WORDS or word.replace(" ", "") in {"STOPALL", "OPTOUT"}:
        return Keyword.STOP
    if word in START_WORDS:
        return Keyword.START
    return Keyword.HELP if word in HELP_WORDS else None


def hear(*, merchant_id: uuid.UUID, merchant: str, phone: str, text: str) -> Heard:
    """Do what a message says. Said again, it changes nothing. Raises BadRequest for what is no phone number."""
    keyword = keyword_of(text)
    try:
        customer = find_customer(merchant_id=merchant_id, phone=phone)
    except CustomerNotFound:
        return Heard(keyword, None, "")
    if keyword is Keyword.HELP:
        return Heard(
            keyword,
            customer.pk,
            f"{merchant}: reply STOP to receive no more messages, START to receive them again.",
        )
    if keyword is None:
        return Heard(None, customer.pk, "")
    wants = keyword is Keyword.START
    say_for_oneself(
        merchant_id=merchant_id,
        customer_id=customer.pk,
        data={Channel.SMS.value: {Purpose.MARKETING.value: wants}},
        source=SOURCE,
    )
    said = (
        "You will receive messages again. Reply STOP to end them."
        if wants
        else "You will receive no more messages."
    )
    return Heard(keyword, customer.pk, f"{merchant}: {said}")
