"""How long lists in variables may be. They are checked before coercion, which takes much longer than counting them.

Lists that stand in the document itself are limited by its tokens (`limits.py`).
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
MAX_ITEMS = 1000  # of ids, for example: resolvers with a lower limit refuse the rest with a code of their own


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The variables of one operation whose types contain lists, by name."""

    types: Mapping[str, GraphQLInputType]

    def check(self, raw_variables: Mapping[str, Any]) -> None:
        """Raise LimitExceeded for a list that is too long."""
        for name, type_ in self.types.items():
            _check_value(name, type_, raw_variables.get(name))


def build_input_limits(schema: GraphQLSchema, operation: OperationDefinitionNode) -> InputLimits:
    types: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        type_ = type_from_ast(schema, definition.type)
        if type_ is not None and _has_list(type_, set()):
            types[definition.variable.name.value] = type_
    return InputLimits(types)


def _has_list(type_: Any, visited: set[str]) -> bool:
    while isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList):
        return True
    if not isinstance(type_, GraphQLInputObjectType) or type_.name in visited:
        return False
    visited.add(type_.name)
    return any(_has_list(field.type, visited) for field in type_.fields.values())


def _check_value(name: str, type_: Any, value: Any) -> None:
    while isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList) and isinstance(value, list):
        limit = MAX_ENUM_VALUES if isinstance(get_named_type(type_), GraphQLEnumType) else MAX_ITEMS
        if len(value) > limit:
            raise LimitExceeded(f"The list `{name}` has {len(value)} items; {limit} are allowed.")
        if isinstance(get_named_type(type_), GraphQLInputObjectType) or isinstance(type_.of_type, GraphQLList):
            for item in value:
                _check_value(name, type_.of_type, item)
    elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
        for key in value.keys() & type_.fields.keys():
            _check_value(f"{name}.{key}", type_.fields[key].type, value[key])
