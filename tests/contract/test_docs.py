"""Pages that are made from the code, or describe it."""

import ast
import re
from pathlib import Path

import pytest

import tiktok_accounts_gql
from tiktok_accounts_gql.cli.reference import build_configuration_page, build_errors_page
from tiktok_accounts_gql.errors import AppError, ErrorCode, OperationError, RequestError, UserErrorCode

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = Path(tiktok_accounts_gql.__file__).parent
STEPS = re.findall(
    r"^\| \d+ \| `([\w.]+)` \| `([\w/.]+)` \|", (DOCS / "how-a-list-is-answered.md").read_text(), re.MULTILINE
)


def test_the_configuration_reference_is_that_of_the_model() -> None:
    assert (DOCS / "configuration.md").read_text() == build_configuration_page()


def test_the_error_catalogue_is_that_of_the_code() -> None:
    assert (DOCS / "errors.md").read_text() == build_errors_page()
    for code in (*ErrorCode, *UserErrorCode):
        assert f"| `{code.value}` |" in build_errors_page()


def leaves(kind: type[AppError]) -> list[type[AppError]]:
    subclasses = kind.__subclasses__()
    return [leaf for subclass in subclasses for leaf in (leaves(subclass) or [subclass])]


def test_every_error_has_a_code_of_the_lists_and_a_message() -> None:
    for kind in leaves(RequestError):
        assert isinstance(kind.code, ErrorCode)  # type: ignore[attr-defined]
    for kind in leaves(OperationError):
        assert isinstance(kind.code, UserErrorCode)  # type: ignore[attr-defined]
    messages = {kind().message for kind in leaves(AppError)} - {"PersistedQueryNotFound"}  # which clients look for
    assert all(message.endswith(".") for message in messages)


@pytest.mark.parametrize(("function", "module"), STEPS)
def test_every_step_of_a_list_is_in_the_code(function: str, module: str) -> None:
    body: list[ast.stmt] = ast.parse((SOURCE / module).read_text("utf-8")).body
    for name in function.split("."):
        [node] = [node for node in body if getattr(node, "name", None) == name]
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        body = node.body
