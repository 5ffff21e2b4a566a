"""Promise 10: somebody else's id answers as an id that does not exist, in everything that takes an id.

The places are found in the schema, so that a new argument cannot be forgotten: it fails here until it is right.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)
from graphql.type import GraphQLInputType, GraphQLOutputType, get_nullable_type
from pydantic import SecretBytes

from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.schema.build import create_schema
from tiktok_accounts_gql.services.sync.jobs import MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context

pytestmark = pytest.mark.untraced

SCHEMA = create_schema()
ROOTS = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type}
DEPTH = 6


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an id can stand: `wrap` puts one there."""

    operation: str
    field: str
    argument: str
    path: str
    wrap: Callable[[str], Any]


def places() -> Iterator[Place]:
    for operation, root in ROOTS.items():
        for name, field in (root.fields if root else {}).items():
            for argument, definition in field.args.items():
                for path, wrap in wraps(argument, definition.type):
                    yield Place(operation=operation, field=name, argument=argument, path=path, wrap=wrap)


def wraps(path: str, input_type: GraphQLInputType) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Paths to ids below an input, and how to build the input around one."""
    kind: Any = get_nullable_type(input_type)
    if is_list_type(kind):
        for inner, wrap in wraps(f"{path}[]", kind.of_type):
            yield inner, lambda one, wrap=wrap: [wrap(one)]  # type: ignore[misc]
    elif isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            for inner, wrap in wraps(f"{path}.{name}", field.type):
                yield inner, lambda one, name=name, wrap=wrap: {name: wrap(one)}  # type: ignore[misc]
    elif get_named_type(kind).name == "ID":
        yield path, lambda one: one


def document(place: Place) -> str:
    root = ROOTS[place.operation]
    assert root is not None
    field = root.fields[place.field]
    required = [name for name, definition in field.args.items() if is_required_argument(definition)]
    assert set(required) <= {place.argument}, f"{place.field} needs {required}: teach this test to give them"
    kind = field.args[place.argument].type
    selection = selected(field.type, DEPTH)
    return f"{place.operation} P($v: {kind}) {{ {place.field}({place.argument}: $v) {selection} }}"


def selected(kind: GraphQLOutputType, depth: int) -> str:
    """Everything that can be seen without arguments."""
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    fields = named.fields.items() if isinstance(named, GraphQLObjectType) else ()
    seen = [f"{name} {selected(field.type, depth - 1)}" for name, field in fields if is_selected(name, field, depth)]
    return "{ __typename " + " ".join(seen) + " }"


def is_selected(name: str, field: GraphQLField, depth: int) -> bool:
    if name == "query" or any(map(is_required_argument, field.args.values())):
        return False
    return is_leaf_type(get_named_type(field.type)) or depth > 1


def is_of_job(place: Place) -> bool:
    return place.field in ("syncJob", "cancelSyncJob") or place.path.endswith("failedInJob")


async def create_own(tiktok: TikTok, viewer: str, place: Place) -> str:
    """An id of the viewer's, of the kind that belongs there."""
    account = await tiktok.connect(viewer)
    if not is_of_job(place):
        return ids.encode(ids.NodeKind.ACCOUNT, account.id)
    jobs = tiktok.running.services.jobs
    job = (await jobs.start(Viewer(id=viewer), MatchingAccounts(filter=AccountFilter()), None)).job
    return ids.encode(ids.NodeKind.SYNC_JOB, job.id)


def outcome_of(answer: dict[str, Any]) -> str:
    """Without ids, cursors and times: a job that is begun has new ones."""
    return re.sub(r"'[A-Za-z0-9_-]{20,}'|'20[0-9T:.-]+Z'", "'…'", str(answer))


@pytest.mark.parametrize("place", list(places()), ids=lambda place: f"{place.field}({place.path})")
async def test_a_strangers_id_answers_as_an_unknown_one(api: Api, stranger: Api, tiktok: TikTok, place: Place) -> None:
    await tiktok.connect(api.viewer)
    theirs = await create_own(tiktok, stranger.viewer, place)
    unknown = ids.encode(ids.NodeKind.SYNC_JOB if is_of_job(place) else ids.NodeKind.ACCOUNT, uuid4())
    seen = [outcome_of(await api.data(document(place), v=place.wrap(one))) for one in (theirs, unknown)]
    assert seen[0] == seen[1]
    data = await stranger.data("{ accounts { totalCount edges { node { displayName } } } }")
    assert data["accounts"]["totalCount"] == 1
    assert data["accounts"]["edges"][0]["node"]["displayName"] not in seen[0]


@pytest.mark.parametrize("place", list(places()), ids=lambda place: f"{place.field}({place.path})")
async def test_the_owners_id_does_answer(api: Api, tiktok: TikTok, place: Place) -> None:
    """So that the test above would notice."""
    mine = await create_own(tiktok, api.viewer, place)
    unknown = ids.encode(ids.NodeKind.SYNC_JOB if is_of_job(place) else ids.NodeKind.ACCOUNT, uuid4())
    answers = [outcome_of(await api.data(document(place), v=place.wrap(one))) for one in (unknown, mine)]
    assert answers[0] != answers[1]


def test_nothing_that_takes_an_id_is_missed() -> None:
    def required(fields: dict[str, GraphQLArgument] | dict[str, GraphQLInputField]) -> list[str]:
        return [name for name, one in fields.items() if is_non_null_type(one.type)]

    assert {place.path for place in places()} >= {"id", "ids[]", "filter.accountId", "input.id"}
    for place in places():
        root = ROOTS[place.operation]
        assert root is not None
        kind = get_named_type(root.fields[place.field].args[place.argument].type)
        if isinstance(kind, GraphQLInputObjectType):
            assert len(required(kind.fields)) <= 1, "an input of which more is required: teach `wraps` to give it"


CONNECTIONS = {
    "accounts": "{ accounts(%s) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }",
    "auditEvents": "{ auditEvents(%s) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }",
    "syncJobs": "{ syncJobs(%s) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }",
}


def test_every_list_of_the_root_is_looked_at() -> None:
    query = ROOTS["query"]
    assert query is not None
    assert {name for name, field in query.fields.items() if "after" in field.args} == CONNECTIONS.keys()


@pytest.mark.parametrize("name", CONNECTIONS)
@pytest.mark.parametrize("place", ["after", "before"])
async def test_a_strangers_cursor_shows_nothing_but_the_viewers_own(
    api: Api, stranger: Api, tiktok: TikTok, name: str, place: str
) -> None:
    """It is a place and no more: whether a row of somebody else's lies there makes no difference."""
    for api_ in (api, stranger, api):
        await tiktok.connect(api_.viewer)
        await tiktok.running.services.jobs.start(Viewer(id=api_.viewer), MatchingAccounts(filter=AccountFilter()), None)
    [*theirs] = (await stranger.data(CONNECTIONS[name] % "first: 20"))[name]["edges"]
    edges = (await api.data(CONNECTIONS[name] % "first: 50"))[name]["edges"]
    mine = {edge["node"]["id"]: edge["cursor"] for edge in edges}
    for edge in theirs:
        moved = edge["cursor"][:20] + ("A" if edge["cursor"][20] != "A" else "B") + edge["cursor"][21:]
        seen = [(await api.data(CONNECTIONS[name] % f'{place}: "{one}"'))[name] for one in (edge["cursor"], moved)]
        assert seen[0] == seen[1] or name == "auditEvents"  # which has one event more for each of these
        seen_ids = {one["node"]["id"] for answer in seen for one in answer["edges"]}
        assert not seen_ids & {one["node"]["id"] for one in theirs}
        assert seen_ids <= mine.keys() or name == "auditEvents"
    assert {edge["cursor"] for edge in theirs}.isdisjoint(mine.values())


async def test_the_same_row_has_the_same_cursor_from_every_server_whatever_its_keys(
    api: Api, tiktok: TikTok, settings: Settings
) -> None:
    await tiktok.connect(api.viewer)
    other = settings.model_copy(update={"encryption_keys": (SecretBytes(bytes(32)), *settings.encryption_keys)})
    document = CONNECTIONS["accounts"] % "first: 1"
    async with serving(other) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as http:
        theirs = await Api(http=http, settings=other, viewer=api.viewer).data(document)
    assert theirs == await api.data(document)
