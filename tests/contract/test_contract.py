"""The contract leads: the file, the code, the last release, and what clients ask."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate
from graphql.utilities import find_schema_changes
from graphql.utilities.find_schema_changes import BreakingChange

from tiktok_accounts_gql.schema.build import create_schema, print_contract
from tiktok_accounts_gql.web.graphiql.examples import load_examples

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "schema.graphql"
RELEASED = Path(__file__).parent / "released.graphql"


def test_the_file_holds_what_the_code_does() -> None:
    assert CONTRACT.read_text() == print_contract()


def test_everything_is_described() -> None:
    schema = build_schema(CONTRACT.read_text())
    own = [type_ for name, type_ in schema.type_map.items() if not name.startswith("__") and type_.ast_node]
    silent = [type_.name for type_ in own if not type_.description]
    for type_ in own:
        for name, field in getattr(type_, "fields", {}).items():
            silent += [] if field.description else [f"{type_.name}.{name}"]
            silent += [
                f"{type_.name}.{name}({one})" for one, arg in getattr(field, "args", {}).items() if not arg.description
            ]
        for name, value in getattr(type_, "values", {}).items():
            silent += [] if value.description else [f"{type_.name}.{name}"]
    assert silent == []
    assert len(own) > 20


def breaking(old: str, new: str) -> list[str]:
    changes = find_schema_changes(build_schema(old), build_schema(new))
    return [change.description for change in changes if isinstance(change, BreakingChange)]


def test_nothing_of_the_last_release_breaks() -> None:
    assert breaking(RELEASED.read_text(), print_contract()) == []


def test_a_breaking_change_would_be_found() -> None:
    released = RELEASED.read_text()
    assert breaking(released, released.replace("  isVerified: Boolean\n", "  verified: Boolean\n"))
    assert breaking(released, released.replace("search: String\n", "search: String!\n"))


@pytest.mark.parametrize("file", sorted((ROOT / "operations").glob("*.graphql")), ids=lambda file: file.stem)
def test_every_operation_is_valid(file: Path) -> None:
    assert validate(create_schema(), parse(file.read_text())) == []


def test_graphiql_offers_every_operation() -> None:
    assert len(load_examples()) == len(list((ROOT / "operations").glob("*.graphql"))) > 5
