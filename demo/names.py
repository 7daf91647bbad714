"""Parts from which people, companies and streets are made up. Family names are composed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NameParts:
    female: tuple[str, ...]
    male: tuple[str, ...]
    family_first: tuple[str, ...]
    family_last: tuple[str, ...]


def _parts(female: str, male: str, family_first: str, family_last: str) -> NameParts:
    return NameParts(*(tuple(words.split()) for words in (female, male, family_first, family_last)))


NAMES: dict[str, NameParts] = {
    "en": _parts(
        "Abigail Aisha Alice Amelia Amina Anna Beatrice Bethan Bridget Caroline Catherine Charlotte Chloë "
        "Claire Daisy Deborah Eleanor Elizabeth Emily Esther Fatima Fiona Florence Frances Gemma Georgia "
        "Grace Hannah Harriet Helen Imogen Isla Ivy Jasmine Jessica Joan Judith Kate Kirsty Laura Leila "
        "Lucy Mabel Maeve Maria Martha Matilda Megan Mei Nadia Niamh Olivia Patricia Phoebe Priya Rachel "
        "Rosalind Rose Ruth Samira Sarah Siân Sofia Susan Tamsin Victoria Violet Yasmin Zara Zoë",
        "Adam Adeel Aidan Alan Albert Alexander Andrew Anthony Arjun Arthur Benjamin Callum Charles "
        "Christopher Daniel David Duncan Edmund Edward Ethan Ewan Felix Finlay Frank Frederick Gareth "
        "George Gordon Graham Harry Henry Hugh Ibrahim Isaac Jack James Jonah Joseph Karim Kenneth Kwame "
        "Leo Lewis Malcolm Martin Matthew Michael Nathan Neil Noah Oliver Omar Oscar Owen Patrick Peter "
        "Philip Rajesh Rhys Robert Rory Samuel Simon Stephen Theo Thomas Toby Tomasz Victor William",
        "Amber Apple Ash Barley Birch Bramble Briar Brook Clover Copper Cotton Dapple Elder Feather Fern "
        "Fiddle Finch Gable Hazel Heather Holly Honey Juniper Kettle Lark Lavender Maple Marsh Meadow Merry "
        "Mill Moss Nettle Oat Otter Pepper Plum Primrose Quill Raven Rowan Rush Saffron Sorrel Sparrow Swan "
        "Tansy Teasel Thimble Thistle Thorn Timber Velvet Willow Winter Wren Yarrow",
        "beck bourne bridge bury by combe cote croft dale den field ford gate ham hurst lea ley mere more "
        "shaw stead ton well wick wood worth",
    ),
    "de": _parts(
        "Anja Birgit Claudia Heike Ingrid Johanna Katrin Lena Marlene Petra Sabine Ursula",
        "Andreas Bernd Dieter Florian Günther Hannes Jörg Klaus Lukas Matthias Stefan Uwe",
        "Apfel Birken Eich Falken Linden Mond Rosen Silber Sommer Stein Stern Winter",
        "bach berg brück feld garten grund hain tal wald weiher",
    ),
    "fr": _parts(
        "Agnès Camille Céline Chantal Élodie Françoise Hélène Isabelle Juliette Margaux Noémie Sylvie",
        "Antoine Benoît Cédric Étienne François Gérard Jérôme Julien Laurent Luc Mathieu Rémi",
        "Beau Bel Clair Doux Fon Grand Haut Mire Mont Roche Val Vert",
        "bois champ fleur lac lune mare pierre rive roc val",
    ),
    "es": _parts(
        "Ana Begoña Carmen Elena Inés Lucía Marta Nuria Pilar Sofía",
        "Álvaro Andrés Diego Fernando Iván Javier José Luis Miguel Raúl",
        "Alta Casa Flor Luna Monte Prado Río Sol Valle Villa",
        "azul campo clara mar nieve plata rosa sierra verde",
    ),
    "it": _parts(
        "Alessia Bianca Chiara Elisa Francesca Giulia Lucia Paola Silvia",
        "Alberto Davide Enrico Fabio Giorgio Luca Marco Niccolò Paolo",
        "Acqua Bella Casa Fior Monte Ponte Torre Valle",
        "chiara fiore luna mare monte rosa sole verde",
    ),
    "pt": _parts(
        "Ana Beatriz Catarina Inês Joana Mafalda Sofia Teresa",
        "António Duarte Gonçalo João Miguel Nuno Rui Tiago",
        "Boa Campo Fonte Mata Pedra Ribeira Serra Vale",
        "clara doce flor lua mar nova prata verde",
    ),
    "nl": _parts(
        "Anneke Femke Ingeborg Lieke Maaike Saskia Sanne",
        "Bram Daan Jeroen Maarten Pieter Sjoerd Willem",
        "Bloem Linden Molen Ster Tulp Water Zonne",
        "berg brug dijk hof kamp stroom veld",
    ),
    "sv": _parts(
        "Åsa Astrid Elin Frida Ingrid Karin Linnéa Maja Sigrid Tove",
        "Anders Björn Erik Göran Henrik Jonas Lars Mikkel Nils Søren",
        "Berg Björk Ek Lind Sjö Sol Sten Vinter Älv",
        "dal gren kvist lund mark stjerne ström vik",
    ),
    "fi": _parts(
        "Aino Helmi Kaisa Päivi Riikka Sanna",
        "Antti Juhani Mikko Pekka Teemu Väinö",
        "Järvi Kivi Koivu Lumi Meri Tähti",
        "kallio lahti mäki niemi ranta salo",
    ),
    "pl": _parts(
        "Agnieszka Ewa Hanna Katarzyna Małgorzata Zofia",
        "Jakub Łukasz Marek Paweł Stanisław Wojciech",
        "Gwiazdo Jasno Klono Kwiato Lipo Wierzbo",
        "wicz",
    ),
    "el": _parts(
        "Anna Dimitra Eleni Katerina Sofia",
        "Andreas Giorgos Kostas Nikos Yannis",
        "Anemo Asteri Chryso Petro Thalasso",
        "nidis pakis poulos",
    ),
    "ja": _parts(
        "Aiko Emi Hana Keiko Yuki",
        "Daichi Haruto Kenji Ren Takumi",
        "Aozora Haru Hoshi Kaze Tsuki Yuki",
        "hara mine no saki zawa",
    ),
}

LANGUAGES = {
    "DE": "de", "AT": "de", "CH": "de", "FR": "fr", "BE": "fr", "ES": "es", "IT": "it",
    "PT": "pt", "BR": "pt", "NL": "nl",
    "SE": "sv", "FI": "fi", "PL": "pl", "GR": "el", "CY": "el", "JP": "ja",
}  # fmt: skip
# Norwegian, Danish and Icelandic customers have names from the Swedish list but are written to in English.
NAME_LANGUAGES = LANGUAGES | {"NO": "sv", "DK": "sv", "IS": "sv"}

COMPANY_KINDS = (
    "Gifts", "Emporium", "Interiors", "& Daughters", "Home", "Trading", "Tearooms", "Garden Centre",
    "Cards & Gifts", "Keepsakes", "Country Store", "Farm Shop",
)  # fmt: skip
STREET_ENDINGS: dict[str, tuple[str, ...]] = {
    "en": ("Street", "Road", "Lane", "Avenue", "Close", "Terrace", "Gardens", "Row"),
    "de": ("straße", "weg", "gasse", "allee"),
    "fr": ("Rue", "Avenue", "Allée", "Impasse"),
    "es": ("Calle", "Paseo", "Plaza"),
    "it": ("Via", "Viale", "Vicolo"),
    "pt": ("Rua", "Travessa", "Largo"),
    "nl": ("straat", "gracht", "laan"),
    "sv": ("gatan", "vägen"),
}
INSTRUCTIONS = (
    "Leave with the neighbour at the blue door.",
    "Ring twice; the bell is quiet.",
    "Deliveries at the back, weekdays before noon.",
    "Parcel box beside the gate.",
)
NOTES = (
    "Likes to be told when a discontinued pattern comes back.",
    "Collects; please hold the order at the counter.",
    "Asks for a printed receipt.",
    "Prefers paper bags.",
    "Buys for a school fair every summer.",
)
BUSINESS_NOTES = (
    "Quote the purchase order number on the invoice.",
    "Orders by telephone on Mondays.",
    "Full cartons only, please.",
)
