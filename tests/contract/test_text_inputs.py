"""Every text that the API takes, in every argument and input, may be anything: no answer is a failure of ours."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from tests.support.rows import account, store
from tests.support.server import Api
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import CALLBACK_PATH
from tiktok_accounts_gql.wiring import Running

SCHEMA = build_schema((Path(__file__).parents[2] / "schema.graphql").read_text())
TEXTS = {
    "50,010 characters": "x" * 50_010,
    "NUL": "a\0b",
    "half a pair": "\ud800",
    "empty": "",
    "blank": " ",
    "%": "%_\\",
}
JOB = "mutation { syncAccounts(input: { target: { filter: {} } }) { job { id } } }"
TEXT_TYPES = {"String", "ID", "DateTime"}
NESTED = ("SyncJob", "TikTokAccount")  # of the types below a root, those whose fields have arguments
UNKNOWN = ids.encode(ids.NodeKind.ACCOUNT, uuid4())

Input = GraphQLArgument | GraphQLInputField


def places(name: str, input_: Input, text: str) -> Iterator[tuple[str, Any]]:
    """Each place of a text within an input, and a value of the input with the text there."""
    for path, value in values(get_named_type(input_.type), text):
        yield f"{name}{path}", [value] if is_list_type(getattr(input_.type, "of_type", input_.type)) else value


def values(kind: Any, text: str) -> Iterator[tuple[str, Any]]:
    if isinstance(kind, GraphQLScalarType) and kind.name in TEXT_TYPES:
        yield "", text
    if not isinstance(kind, GraphQLInputObjectType):
        return
    for name, field in kind.fields.items():
        others = {
            other: least(field)
            for other, field in kind.fields.items()
            if other != name and is_required_input_field(field)
        }
        for path, value in places(f".{name}", field, text):
            yield path, {**others, name: value}


def least(input_: Input) -> Any:
    """A value that is accepted."""
    kind = get_named_type(input_.type)
    if isinstance(kind, GraphQLInputObjectType):
        required = [name for name, field in kind.fields.items() if is_required_input_field(field)]
        return {name: least(kind.fields[name]) for name in required or list(kind.fields)[:1]}
    default = UNKNOWN if kind.name == "ID" else "x"
    return [default] if is_list_type(getattr(input_.type, "of_type", input_.type)) else default


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(item)}" for name, item in value.items()) + "}"
    return "[" + ", ".join(map(literal, value)) + "]" if isinstance(value, list) else json.dumps(value)


def fields(global_ids: Mapping[str, str]) -> Iterator[tuple[str, str, GraphQLField]]:
    """Each field with arguments: its name, the words before it, itself."""
    for words, root in (("", SCHEMA.query_type), ("mutation ", SCHEMA.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            yield name, f"{words}{{ ", field
    for kind in NESTED:
        type_ = SCHEMA.type_map[kind]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            yield name, f'{{ node(id: "{global_ids[kind]}") {{ ... on {kind} {{ ', field


def requests(text: str, global_ids: Mapping[str, str] = defaultdict(str)) -> Iterator[tuple[str, dict[str, Any]]]:
    """In a variable, and in the document."""
    for name, words, field in fields(global_ids):
        selection = "" if isinstance(get_named_type(field.type), GraphQLScalarType) else " { __typename }"
        closing = " }" * (words.count("{") - words.count("}"))
        for argument, input_ in field.args.items():
            needed = [one for one, it in field.args.items() if one != argument and is_required_argument(it)]
            rest = "".join(f", {one}: {literal(least(field.args[one]))}" for one in needed)
            kind = "mutation" if words.startswith("mutation") else "query"
            within = words.removeprefix("mutation ")
            for place, value in places(argument, input_, text):
                named = f"{kind} Q($value: {input_.type}) {within}{name}({argument}: $value{rest}){selection}{closing}"
                yield f"{name}.{place}", {"query": named, "variables": {"value": value}}
                written = f"{words}{name}({argument}: {literal(value)}{rest}){selection}{closing}"
                yield f"{name}.{place}", {"query": written}


def test_every_kind_of_text_is_among_them() -> None:
    places_found = {place for place, _ in requests("x")}
    assert len(places_found) > 30
    assert {
        "accounts.filter.search",
        "nodes.ids",
        "syncAccounts.input.target.ids",
        "syncAccounts.input.target.filter.search",
        "syncAccounts.input.target.failedInJob",
        "syncAccounts.input.idempotencyKey",
        "connectAccount.input.state",
        "connectAccount.input.code",
        "connectAccount.input.error",
        "startAccountAuthorization.input.returnTo",
        "auditEvents.filter.from",
        "results.after",
        "statsHistory.from",
    } <= places_found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_no_text_is_a_failure_of_ours(api: Api, running: Running, text: str) -> None:
    [row] = await store(running.db, account(api.viewer))
    job = (await api.data(JOB))["syncAccounts"]["job"]["id"]
    global_ids = {"TikTokAccount": ids.encode(ids.NodeKind.ACCOUNT, row.id), "SyncJob": job}
    for place, request in requests(text, global_ids):
        response = await api.http.post(
            "/graphql",
            content=json.dumps(request),
            headers={"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"},
        )
        assert response.status_code < 500, (place, response.text)
        codes = [error["extensions"]["code"] for error in response.json().get("errors", ())]
        assert "INTERNAL_SERVER_ERROR" not in codes, (place, response.text)
        assert "GRAPHQL_PARSE_FAILED" not in codes or text == "\ud800", (place, request, response.text)
        assert "GRAPHQL_VALIDATION_FAILED" not in codes or "DateTime" in response.text, (place, request, response.text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_no_text_is_too_much_for_the_callback(http: httpx.AsyncClient, text: str) -> None:
    for name in ("state", "code", "error"):
        values = {"state": b"s", "code": b"c", name: text.encode("utf-8", "surrogatepass")}
        try:
            response = await http.get(f"{CALLBACK_PATH}?{urlencode(values)}")
        except httpx.InvalidURL:
            continue  # no client sends an address of that length
        assert response.status_code == 400
