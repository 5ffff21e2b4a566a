"""Look-ahead: what the selection set of a root field reads, so that its resolver loads that and no more.

It changes no answer, only what is loaded. A field whose resolver reads attributes of its row declares them in its metadata,
`requires("id")`. A field whose value is its own row, seen as another type, declares `SAME_ROW`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLResolveInfo, GraphQLUnionType, get_named_type

from tiktok_accounts_gql.compiler.internals import (
    FieldDetailsList,
    GroupedFieldSet,
    StrawberryField,
    find_attribute,
    find_field,
    get_resolve_info,
)

CollectSubfields = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]

_REQUIRES = "requires"
_SAME_ROW = "same_row"
SAME_ROW: Mapping[str, Any] = {_SAME_ROW: True}


@dataclass(frozen=True, slots=True)
class Lookahead:
    """What is read below a root field.

    `attributes` are those of its row, or of the rows in `edges.node` if it has edges; None for all of them. `fields` are
    the names of the fields directly below it.
    """

    attributes: frozenset[str] | None
    fields: frozenset[str]


UNKNOWN = Lookahead(None, frozenset())


class LookaheadInfo(GraphQLResolveInfo[Any]):
    """graphql-core's info with the look-ahead of its field. Below a list, its path has no indexes."""

    lookahead: Lookahead = UNKNOWN


def requires(*attributes: str) -> dict[str, Any]:
    """Return the metadata of a field whose resolver reads these attributes of its row, and no others."""
    return {_REQUIRES: frozenset(attributes)}


def get_lookahead(info: strawberry.Info[Any, Any]) -> Lookahead:
    """Return UNKNOWN, which means to load everything, when graphql-core executes the operation."""
    resolve_info = get_resolve_info(info)
    return resolve_info.lookahead if isinstance(resolve_info, LookaheadInfo) else UNKNOWN


def is_same_row(field: StrawberryField) -> bool:
    return bool(field.metadata.get(_SAME_ROW))


def build_lookahead(type_: Any, details: FieldDetailsList, collect_subfields: CollectSubfields) -> Lookahead:
    """Return the look-ahead of a root field of this type."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        return UNKNOWN
    if not isinstance(named, GraphQLObjectType):
        return Lookahead(frozenset(), frozenset())
    fields = frozenset(group[0].node.name.value for group in collect_subfields(named, details).values())
    if "edges" not in named.fields:
        return Lookahead(_list_attributes(named, details, collect_subfields), fields)
    edge, edges = _find_selections(named, details, "edges", collect_subfields)
    row, nodes = _find_selections(edge, edges, "node", collect_subfields)
    if not isinstance(row, GraphQLObjectType):
        return Lookahead(None, fields)
    return Lookahead(_list_attributes(row, nodes, collect_subfields) if nodes else frozenset(), fields)


def _find_selections(
    type_: Any, details: FieldDetailsList, name: str, collect_subfields: CollectSubfields
) -> tuple[Any, FieldDetailsList]:
    """Return the type of a field, and its selections under all their aliases."""
    groups = collect_subfields(type_, details).values()
    selections = [selection for group in groups for selection in group if selection.node.name.value == name]
    return get_named_type(type_.fields[name].type), selections


def _list_attributes(
    type_: GraphQLObjectType, details: FieldDetailsList, collect_subfields: CollectSubfields
) -> frozenset[str] | None:
    """Return the attributes of a row that its selection set reads; None if a resolver does not declare its own."""
    attributes: set[str] = set()
    for group in collect_subfields(type_, details).values():
        name = group[0].node.name.value
        if name == "__typename":
            continue
        of_field = _list_field_attributes(type_, name, group, collect_subfields)
        if of_field is None:
            return None
        attributes |= of_field
    return frozenset(attributes)


def _list_field_attributes(
    type_: GraphQLObjectType, name: str, details: FieldDetailsList, collect_subfields: CollectSubfields
) -> frozenset[str] | None:
    field = find_field(type_.fields[name])
    if field is None:
        return None
    if is_same_row(field):
        named = get_named_type(type_.fields[name].type)
        return _list_attributes(named, details, collect_subfields) if isinstance(named, GraphQLObjectType) else None
    attribute = find_attribute(field)
    if attribute is not None:
        return frozenset({attribute})
    declared: frozenset[str] | None = field.metadata.get(_REQUIRES)
    return declared
