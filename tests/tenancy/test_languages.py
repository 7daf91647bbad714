"""Languages by name."""

import pytest

from cloudpos.tenancy.languages import language_choices, language_name


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "English"),
        ("pt-BR", "Brazilian Portuguese"),
        ("zh-hans", "Simplified Chinese"),
        ("de-CH", "German (de-CH)"),
        ("tlh", "tlh"),
    ],
)
def test_names(tag: str, name: str) -> None:
    assert language_name(tag) == name


def test_choices_are_written_as_tags_and_sorted_by_name() -> None:
    choices = language_choices("gsw", empty="Not known")
    assert choices[0] == ("", "Not known")
    names = [name for _, name in choices[1:]]
    assert names == sorted(names) and len(set(names)) == len(names)
    assert {"en", "pt-BR", "zh-Hans", "sr-Latn", "gsw"} <= {tag for tag, _ in choices}
    # Ten characters are what a customer's record holds.
    assert max(len(tag) for tag, _ in choices) <= 10
