"""How long lists in variables may be, looked at before they are coerced: that takes much longer than to count them.

Lists that stand in the document itself are bounded by its tokens (limits.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.utilities import type_from_ast

from tiktok_accounts_gql.errors import LimitExceeded

MAX_ENUM_VALUES = 50
MAX_ITEMS = 1000  # of ids, say: what asks for fewer refuses the rest with a code of its own


@dataclass(frozen=True, slots=True)
class InputBounds:
    """The variables of one operation in whose types there are lists, by name."""

    types: Mapping[str, GraphQLInputType]

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raises LimitExceeded."""
        for name, type_ in self.types.items():
            _check(name, type_, inputs.get(name))


def bounds_of(schema: GraphQLSchema, operation: OperationDefinitionNode) -> InputBounds:
    types: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        type_ = type_from_ast(schema, definition.type)
        if type_ is not None and _has_list(type_, set()):
            types[definition.variable.name.value] = type_
    return InputBounds(types)


def _has_list(type_: Any, seen: set[str]) -> bool:
    while isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList):
        return True
    if not isinstance(type_, GraphQLInputObjectType) or type_.name in seen:
        return False
    seen.add(type_.name)
    return any(_has_list(field.type, seen) for field in type_.fields.values())


def _check(name: str, type_: Any, value: Any) -> None:
    while isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList) and isinstance(value, list):
        most = MAX_ENUM_VALUES if isinstance(get_named_type(type_), GraphQLEnumType) else MAX_ITEMS
        if len(value) > most:
            raise LimitExceeded(f"The list `{name}` has {len(value)} items; {most} are allowed.")
        if isinstance(get_named_type(type_), GraphQLInputObjectType) or isinstance(type_.of_type, GraphQLList):
            for item in value:
                _check(name, type_.of_type, item)
    elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
        for key in value.keys() & type_.fields.keys():
            _check(f"{name}.{key}", type_.fields[key].type, value[key])
