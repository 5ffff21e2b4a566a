"""Rules of the tests that ruff does not check."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FOLDERS = sorted(path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__")


def imported_modules(source: str) -> list[str]:
    """Return the dotted names of all imported modules and names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_imports_from_a_test_module(folder: str) -> None:
    """Shared code belongs in `tests/support`: importing a test module collects its tests again, or hides a dependency."""
    wrong = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in sorted((TESTS / folder).rglob("*.py"))
        for name in imported_modules(path.read_text("utf-8"))
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]
    assert wrong == []
