"""A root field's resolver is told what its selection set needs: no answer changes by it, only what is loaded ahead."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry

from tests.execution.both import answer as answer_of
from tiktok_accounts_gql.compiler.needs import SAME_ROW, UNKNOWN, Needs, needs, needs_of
from tiktok_accounts_gql.execution.engine import Engine
from tiktok_accounts_gql.execution.limits import Documents, Limits


@dataclass
class Row:
    """Of a table of books."""

    id: int = 1
    title: str = "A title"
    shelf_mark: str = "B 7"
    page_count: int = 3
    edges: list[Any] = field(default_factory=list)
    total: int = 0


@dataclass
class Edge:
    node: Row


def row_itself(root: strawberry.Parent[Row]) -> Row:
    return root


def key(root: strawberry.Parent[Row]) -> strawberry.ID:
    return strawberry.ID(str(root.id))


def weight(root: strawberry.Parent[Row]) -> int:
    return root.page_count * 5


@strawberry.interface
class Thing:
    title: str


@strawberry.type
class Place:
    shelf_mark: str = strawberry.field(name="mark")


@strawberry.type
class Book(Thing):
    id: strawberry.ID = strawberry.field(resolver=key, metadata=needs("id"))
    place = strawberry.field(resolver=row_itself, graphql_type=Place, metadata=SAME_ROW)
    weight: int = strawberry.field(resolver=weight)

    @classmethod
    def is_type_of(cls, obj: object, info: Any) -> bool:
        return isinstance(obj, Row)


@strawberry.type
class BookEdge:
    node: Book


@strawberry.type
class Books:
    edges: list[BookEdge]
    total: int


async def told_books(info: strawberry.Info) -> Row:
    info.context.append(needs_of(info))
    return Row(edges=[Edge(Row()), Edge(Row())])


@strawberry.type
class Query:
    books = strawberry.field(resolver=told_books, graphql_type=Books)
    book = strawberry.field(resolver=told_books, graphql_type=Book)
    thing = strawberry.field(resolver=told_books, graphql_type=Thing)


async def told(query: str, *, compiled: bool = True) -> Needs:
    """What the only root field was told."""
    schema = strawberry.Schema(query=Query)._schema
    documents = Documents(schema, Limits(), introspection=False, hide_suggestions=True)
    engine = Engine(schema, documents, hide_suggestions=True, compiled=compiled)
    found: list[Needs] = []
    answer = await answer_of(engine, query, {}, found)
    assert isinstance(answer, bytes) == compiled
    [one] = found
    return one


CASES: dict[str, tuple[str, set[str] | None, set[str]]] = {
    "attributes by their names in the row": ("{ book { t: title __typename } }", {"title"}, {"title", "__typename"}),
    "attributes of the rows of a connection": (
        "{ books { edges { node { title } } total } }",
        {"title"},
        {"edges", "total"},
    ),
    "what resolvers declare": ("{ books { edges { node { id } } } }", {"id"}, {"edges"}),
    "the same row seen as another type": ("{ books { edges { node { place { mark } } } } }", {"shelf_mark"}, {"edges"}),
    "everything, if a resolver declares nothing": ("{ books { edges { node { id weight } } } }", None, {"edges"}),
    "no rows": ("{ books { n: total } }", set(), {"total"}),
    "edges twice, by a fragment": (
        "{ books { a: edges { node { id } } ...F } } fragment F on Books { edges { x: node { title } } }",
        {"id", "title"},
        {"edges"},
    ),
    "what is skipped is not needed": (
        "query ($no: Boolean = false) { books { edges { node { weight @include(if: $no) title } } } }",
        {"title"},
        {"edges"},
    ),
}


@pytest.mark.parametrize(("query", "attributes", "fields"), CASES.values(), ids=CASES)
async def test_a_root_field_is_told(query: str, attributes: set[str] | None, fields: set[str]) -> None:
    known = None if attributes is None else frozenset(attributes)
    assert await told(query) == Needs(known, frozenset(fields))


async def test_of_an_interface_nothing_is_known() -> None:
    assert await told("{ thing { title } }") == UNKNOWN


async def test_nothing_is_known_when_graphql_core_executes() -> None:
    assert await told("{ books { total } }", compiled=False) == UNKNOWN
