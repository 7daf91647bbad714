"""The package of predictions imports numpy, the standard library and itself: nothing that needs a database or settings."""

import ast
import sys
from pathlib import Path

import pytest

import analytics.prediction

MODULES = sorted(Path(analytics.prediction.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            assert (
                top in sys.stdlib_module_names or top == "numpy" or name.startswith("analytics.prediction")
            ), name
