"""A root field's resolver gets a look-ahead of what its selection set reads."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry

from tests.execution.differential import execute_query, new_document_cache
from tiktok_accounts_gql.compiler.internals import get_graphql_schema
from tiktok_accounts_gql.compiler.lookahead import SAME_ROW, UNKNOWN, Lookahead, get_lookahead, requires
from tiktok_accounts_gql.execution.engine import Engine


@dataclass
class Row:
    """A book as a database returns it, with columns that the schema names differently."""

    id: int = 1
    title: str = "A title"
    shelf_mark: str = "B 7"
    page_count: int = 3
    edges: list[Any] = field(default_factory=list)
    total: int = 0


@dataclass
class Edge:
    node: Row


def same_row(root: strawberry.Parent[Row]) -> Row:
    return root


def book_id(root: strawberry.Parent[Row]) -> strawberry.ID:
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
    id: strawberry.ID = strawberry.field(resolver=book_id, metadata=requires("id"))
    place = strawberry.field(resolver=same_row, graphql_type=Place, metadata=SAME_ROW)
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


async def load_books(info: strawberry.Info) -> Row:
    info.context.append(get_lookahead(info))
    return Row(edges=[Edge(Row()), Edge(Row())])


@strawberry.type
class Query:
    books = strawberry.field(resolver=load_books, graphql_type=Books)
    book = strawberry.field(resolver=load_books, graphql_type=Book)
    thing = strawberry.field(resolver=load_books, graphql_type=Thing)


async def record_lookahead(query: str, *, compiled: bool = True) -> Lookahead:
    """Return the look-ahead of the only root field."""
    schema = get_graphql_schema(strawberry.Schema(query=Query))
    engine = Engine(schema, new_document_cache(schema), hide_suggestions=True, compiled=compiled)
    lookaheads: list[Lookahead] = []
    answer = await execute_query(engine, query, {}, lookaheads)
    assert isinstance(answer, bytes) == compiled
    [lookahead] = lookaheads
    return lookahead


CASES: dict[str, tuple[str, set[str] | None, set[str]]] = {
    "attributes by their names in the row": ("{ book { t: title __typename } }", {"title"}, {"title", "__typename"}),
    "attributes of the rows of a connection": (
        "{ books { edges { node { title } } total } }",
        {"title"},
        {"edges", "total"},
    ),
    "attributes that resolvers declare": ("{ books { edges { node { id } } } }", {"id"}, {"edges"}),
    "the same row seen as another type": ("{ books { edges { node { place { mark } } } } }", {"shelf_mark"}, {"edges"}),
    "all attributes, if a resolver declares none": ("{ books { edges { node { id weight } } } }", None, {"edges"}),
    "no rows": ("{ books { n: total } }", set(), {"total"}),
    "edges twice, by a fragment": (
        "{ books { a: edges { node { id } } ...F } } fragment F on Books { edges { x: node { title } } }",
        {"id", "title"},
        {"edges"},
    ),
    "no attributes of skipped fields": (
        "query ($no: Boolean = false) { books { edges { node { weight @include(if: $no) title } } } }",
        {"title"},
        {"edges"},
    ),
}


@pytest.mark.parametrize(("query", "attributes", "fields"), CASES.values(), ids=CASES)
async def test_the_lookahead_of_a_root_field(query: str, attributes: set[str] | None, fields: set[str]) -> None:
    expected = Lookahead(None if attributes is None else frozenset(attributes), frozenset(fields))
    assert await record_lookahead(query) == expected


async def test_the_lookahead_of_an_interface_is_unknown() -> None:
    assert await record_lookahead("{ thing { title } }") == UNKNOWN


async def test_the_lookahead_is_unknown_when_graphql_core_executes() -> None:
    assert await record_lookahead("{ books { total } }", compiled=False) == UNKNOWN
