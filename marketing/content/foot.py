"""The foot of an e-mail: who writes and how to end it, in the customer's language where it is one of these.

A merchant's own text is added to it, and takes nothing away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

STYLE = "margin:32px auto 16px;max-width:600px;font:12px/1.6 sans-serif;color:#6b7280;text-align:center;padding:0 16px"


@dataclass(frozen=True, slots=True)
class Words:
    why: str
    unsubscribe: str
    choices: str


WORDS: Mapping[str, Words] = {
    "en": Words("You receive this because you agreed to messages of {name}.", "Unsubscribe", "Your choices"),
    "de": Words(
        "Sie erhalten diese Nachricht, weil Sie Nachrichten von {name} zugestimmt haben.",
        "Abmelden",
        "Ihre Einstellungen",
    ),
    "es": Words(
        "Recibe este mensaje porque aceptó recibir mensajes de {name}.", "Darse de baja", "Sus preferencias"
    ),
    "fr": Words(
        "Vous recevez ce message parce que vous avez accepté les messages de {name}.",
        "Se désabonner",
        "Vos préférences",
    ),
    "it": Words(
        "Ricevi questo messaggio perché hai accettato i messaggi di {name}.",
        "Annulla l'iscrizione",
        "Le tue preferenze",
    ),
    "nl": Words(
        "U ontvangt dit bericht omdat u hebt ingestemd met berichten van {name}.", "Afmelden", "Uw voorkeuren"
    ),
    "pt": Words(
        "Recebe esta mensagem porque aceitou receber mensagens de {name}.",
        "Cancelar a subscrição",
        "As suas preferências",
    ),
}
OTHERWISE = "en"


def own_text_of(variables: Mapping[str, Any]) -> str:
    """What the merchant has said for the customer's language; else for all others, which is ""."""
    texts = (variables.get("merchant") or {}).get("foot_texts") or {}
    known = {tag.lower(): text for tag, text in texts.items()}
    language = _language(variables)
    return known.get(language) or known.get(language.partition("-")[0]) or known.get("") or ""


def words_of(variables: Mapping[str, Any]) -> Words:
    """Of the customer's language, else of the merchant's: what `customer.language` says. `de-AT` is `de`."""
    return WORDS.get(_language(variables).partition("-")[0], WORDS[OTHERWISE])


def _language(variables: Mapping[str, Any]) -> str:
    return str((variables.get("customer") or {}).get("language") or "").lower()


def foot_of_html(html: str, variables: Mapping[str, Any]) -> str:
    """What a mail of marketing has to say and does not say by itself; "" when it does."""
    name, address = _merchant(variables)
    words = words_of(variables)
    unsubscribe, preferences = _said(variables, "unsubscribe_url"), _said(variables, "preferences_url")
    lines = []
    if unsubscribe and unsubscribe not in html:
        links = [_link(unsubscribe, words.unsubscribe)]
        if preferences and preferences not in html:
            links.append(_link(preferences, words.choices))
        lines.append(str(escape(words.why.format(name=name))))
        lines.append(" &middot; ".join(links))
    own = own_text_of(variables)
    lines += [str(escape(line)) for line in own.splitlines()]
    if address and str(escape(address)) not in html and address not in own:
        lines.append(str(escape(f"{name}, {address}" if name else address)))
    return f'<div style="{STYLE}">{"<br>".join(lines)}</div>' if lines else ""


def foot_of_text(text: str, variables: Mapping[str, Any]) -> list[str]:
    """The same for the plain text: its lines."""
    name, address = _merchant(variables)
    words = words_of(variables)
    unsubscribe = _said(variables, "unsubscribe_url")
    lines = []
    if unsubscribe and unsubscribe not in text:
        lines += [words.why.format(name=name), f"{words.unsubscribe}: {unsubscribe}"]
    own = own_text_of(variables)
    lines += own.splitlines()
    if address and address not in text and address not in own:
        lines.append(f"{name}, {address}" if name else address)
    return lines


def _link(url: str, label: str) -> str:
    return f'<a href="{escape(url)}" style="color:inherit">{escape(label)}</a>'


def _merchant(variables: Mapping[str, Any]) -> tuple[str, str]:
    merchant = variables.get("merchant") or {}
    return str(merchant.get("name") or ""), str(merchant.get("postal_address") or "")


def _said(variables: Mapping[str, Any], name: str) -> str:
    return str(variables.get(name) or "")
