"""Languages by their names, for people who don't read tags such as pt-BR (BCP 47)."""

from django.conf.locale import LANG_INFO

_SCRIPT_LETTERS = 4


def language_name(tag: str) -> str:
    """English, Brazilian Portuguese, German (de-CH); a tag of no language known here stays as it is."""
    exact = LANG_INFO.get(tag.lower(), {}).get("name")
    if exact is not None:
        return str(exact)
    base = LANG_INFO.get(tag.split("-")[0].lower(), {}).get("name")
    return f"{base} ({tag})" if base is not None else tag


def language_choices(current: str = "", *, empty: str = "") -> list[tuple[str, str]]:
    """(tag, name) by name, with `current` among them; `empty` is what no choice stands for."""
    # Tags that only lead to another one have no name.
    tags = {_written(tag) for tag, about in LANG_INFO.items() if "name" in about} | ({current} - {""})
    named = sorted(((tag, language_name(tag)) for tag in tags), key=lambda choice: choice[1])
    return [*([("", empty)] if empty else []), *named]


def _written(key: str) -> str:
    """Django's key in the customary case: pt-BR, zh-Hans."""
    base, *rest = key.split("-")
    return "-".join(
        [base, *(part.title() if len(part) == _SCRIPT_LETTERS else part.upper() for part in rest)]
    )
