"""Result coercion of leaf values (scalars and enums): which of them need none, and what is done to the others."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

import orjson
from graphql import GraphQLEnumType, GraphQLLeafType
from graphql.pyutils import Undefined, is_awaitable

from tiktok_accounts_gql.compiler.internals import list_enum_members

PASSTHROUGH = "passthrough"  # the key in the `extensions` of a scalar


class UnexpectedValue(Exception):
    """A resolver returned what the schema does not allow, or what is still to be awaited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough:
    """Values that `to_json` writes exactly as the scalar would, so that they need no coercion.

    They are of type `kind` and no subclass, and fulfil `condition`: an expression with `{value}` for the value, whose
    other names are `names`. A scalar has one in its extensions under PASSTHROUGH.
    """

    kind: type
    condition: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)


_BUILT_IN: Mapping[str, Passthrough] = {
    "String": Passthrough(kind=str),
    "ID": Passthrough(kind=str),
    "Boolean": Passthrough(kind=bool),
    "Int": Passthrough(kind=int, condition="-2147483648 <= {value} <= 2147483647"),
    "Float": Passthrough(kind=float, condition="{value} - {value} == 0"),  # neither infinite nor NaN
}


def to_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def find_passthrough(type_: GraphQLLeafType) -> Passthrough | None:
    passthrough: Passthrough | None = type_.extensions.get(PASSTHROUGH) or _BUILT_IN.get(type_.name)
    return passthrough


def map_enum_names(type_: GraphQLEnumType) -> Mapping[Any, str]:
    """Map the members of an enum, and their values as a database returns them, to their names in the contract."""
    members = list_enum_members(type_)
    names: dict[Any, str] = {}
    for value in [*members, *(member.value for member in members)]:
        with suppress(Exception):  # whatever the enum raises, it raises again in `coerce_leaf`
            names[value] = type_.coerce_output_value(value)
    return names


def coerce_leaf(type_: GraphQLLeafType, value: Any) -> Any:
    """Coerce a value as graphql-core does. Raise UnexpectedValue, or whatever the scalar raises, for an invalid one."""
    if not is_plain_value(value):
        raise UnexpectedValue
    coerced = None if value is None else type_.coerce_output_value(value)
    if coerced is None or coerced is Undefined:
        raise UnexpectedValue
    return coerced


def check_plain(value: Any, plain_types: set[type]) -> None:
    """Add the type of a value to those that need no check. Raise UnexpectedValue if the value is not plain.

    `plain_types` is a set and no subclass of it, whose `in` takes twice as long: it is evaluated for each row.
    """
    if not is_plain_value(value):
        raise UnexpectedValue
    plain_types.add(type(value))


def is_plain_value(value: Any) -> bool:
    """Return False for what graphql-core does not complete as it is: exceptions are raised, awaitables are awaited."""
    is_special = isinstance(value, Exception | GeneratorType) or value is Undefined
    return not is_special and not is_awaitable(value)
