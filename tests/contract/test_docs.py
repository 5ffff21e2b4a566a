"""Pages that are made from the code."""

from pathlib import Path

from tiktok_accounts_gql.errors import AppError, ErrorCode, OperationError, RequestError, UserErrorCode
from tiktok_accounts_gql.reference import configuration_page, errors_page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_configuration_reference_is_that_of_the_model() -> None:
    assert (DOCS / "configuration.md").read_text() == configuration_page()


def test_the_error_catalogue_is_that_of_the_code() -> None:
    assert (DOCS / "errors.md").read_text() == errors_page()
    for code in (*ErrorCode, *UserErrorCode):
        assert f"| `{code.value}` |" in errors_page()


def leaves(kind: type[AppError]) -> list[type[AppError]]:
    below = kind.__subclasses__()
    return [leaf for one in below for leaf in (leaves(one) or [one])]


def test_every_error_has_a_code_of_the_lists_and_a_message() -> None:
    for kind in leaves(RequestError):
        assert isinstance(kind.code, ErrorCode)  # type: ignore[attr-defined]
    for kind in leaves(OperationError):
        assert isinstance(kind.code, UserErrorCode)  # type: ignore[attr-defined]
    told = {kind().message for kind in leaves(AppError)} - {"PersistedQueryNotFound"}  # which clients look for
    assert all(message.endswith(".") for message in told)
