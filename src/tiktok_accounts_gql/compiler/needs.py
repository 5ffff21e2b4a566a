"""What the selection set of a root field needs, so that its resolver loads that and no more.

It never changes an answer, only what is loaded ahead. A field that reads attributes of its row by a resolver of its own
declares them in its metadata, `needs("id")`; one whose value is the row itself, seen as another type, declares `SAME_ROW`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLResolveInfo, GraphQLUnionType, get_named_type
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from strawberry.types.field import StrawberryField

Selected = list[FieldDetails]
Subfields = Callable[[GraphQLObjectType, Selected], GroupedFieldSet]

_NEEDS = "needs"
SAME_ROW: Mapping[str, Any] = {"same_row": True}


@dataclass(frozen=True, slots=True)
class Needs:
    """`attributes`: those read of the rows below the root field (of `edges.node`, if it has edges); None for all of them.

    `fields`: the names of the fields right below it.
    """

    attributes: frozenset[str] | None
    fields: frozenset[str]


UNKNOWN = Needs(None, frozenset())


class PlannedInfo(GraphQLResolveInfo[Any]):
    """What graphql-core tells a resolver, and what the plan knows beyond that. The path leaves out places in lists."""

    needs: Needs = UNKNOWN


def needs(*attributes: str) -> dict[str, Any]:
    """Metadata for a field whose resolver reads these attributes of its row, and no others."""
    return {_NEEDS: frozenset(attributes)}


def needs_of(info: strawberry.Info[Any, Any]) -> Needs:
    """UNKNOWN when graphql-core executes: load everything."""
    raw = info._raw_info  # noqa: SLF001 - Strawberry has no public name for it
    return raw.needs if isinstance(raw, PlannedInfo) else UNKNOWN


def is_same_row(definition: StrawberryField) -> bool:
    return bool(definition.metadata.get("same_row"))


def needs_below(type_: Any, selected: Selected, subfields: Subfields) -> Needs:
    """Of a root field of this type."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        return UNKNOWN
    if not isinstance(named, GraphQLObjectType):
        return Needs(frozenset(), frozenset())
    fields = frozenset(_names(subfields(named, selected)))
    if "edges" not in named.fields:
        return Needs(_attributes(named, selected, subfields), fields)
    row, nodes = _below(*_below(named, selected, "edges", subfields), "node", subfields)
    if not isinstance(row, GraphQLObjectType):
        return Needs(None, fields)
    return Needs(_attributes(row, nodes, subfields) if nodes else frozenset(), fields)


def _below(type_: Any, selected: Selected, name: str, subfields: Subfields) -> tuple[Any, Selected]:
    """The type of a field, and all that is selected of it, under whatever aliases."""
    found = [one for group in subfields(type_, selected).values() for one in group if one.node.name.value == name]
    return get_named_type(type_.fields[name].type), found


def _attributes(type_: GraphQLObjectType, selected: Selected, subfields: Subfields) -> frozenset[str] | None:
    read: set[str] = set()
    for details in subfields(type_, selected).values():
        name = details[0].node.name.value
        found = frozenset[str]() if name == "__typename" else _of_field(type_, name, details, subfields)
        if found is None:
            return None
        read |= found
    return frozenset(read)


def _of_field(type_: GraphQLObjectType, name: str, details: Selected, subfields: Subfields) -> frozenset[str] | None:
    field = type_.fields[name]
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    if is_same_row(definition):
        named = get_named_type(field.type)
        return _attributes(named, details, subfields) if isinstance(named, GraphQLObjectType) else None
    if definition.is_basic_field:
        return frozenset({definition.python_name})
    declared: frozenset[str] | None = definition.metadata.get(_NEEDS)
    return declared


def _names(groups: GroupedFieldSet) -> Iterable[str]:
    return (details[0].node.name.value for details in groups.values())
