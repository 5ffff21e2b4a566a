"""Values as they leave: which of them JSON shows as they are, and what happens to the others."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

import orjson
from graphql import GraphQLEnumType, GraphQLLeafType
from graphql.pyutils import Undefined
from graphql.pyutils.is_awaitable import is_awaitable

AS_IT_IS = "as_it_is"


class Unexpected(Exception):
    """A value is not what the schema says, or is still to be awaited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsItIs:
    """Values that `to_json` writes as the scalar would: of exactly this kind, and `{v}` fulfils the condition.

    A scalar of the schema has one in its extensions, by the name AS_IT_IS. All other values go through the scalar.
    """

    kind: type
    condition: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)


_BUILT_IN: Mapping[str, AsItIs] = {
    "String": AsItIs(kind=str),
    "ID": AsItIs(kind=str),
    "Boolean": AsItIs(kind=bool),
    "Int": AsItIs(kind=int, condition="-2147483648 <= {v} <= 2147483647"),
    "Float": AsItIs(kind=float, condition="{v} - {v} == 0"),  # neither infinite nor no number
}


def to_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def as_it_is(type_: GraphQLLeafType) -> AsItIs | None:
    found: AsItIs | None = type_.extensions.get(AS_IT_IS) or _BUILT_IN.get(type_.name)
    return found


def names_of(type_: GraphQLEnumType) -> Mapping[Any, str]:
    """Members, and their values as databases have them -> names."""
    members = list(getattr(type_, "wrapped_cls", ()))
    names: dict[Any, str] = {}
    for one in [*members, *(member.value for member in members)]:
        with suppress(Exception):  # it stays with the enum itself
            names[one] = type_.coerce_output_value(one)
    return names


def fitting(type_: GraphQLLeafType) -> Callable[[Any], Any]:
    """Makes a value fit as graphql-core does; what it refuses is Unexpected, or whatever the scalar raises."""

    def fit(value: Any) -> Any:
        if not is_plain(value):
            raise Unexpected
        coerced = None if value is None else type_.coerce_output_value(value)
        if coerced is None or coerced is Undefined:
            raise Unexpected
        return coerced

    return fit


def is_plain(value: Any) -> bool:
    """A value that graphql-core completes as it is: it raises exceptions, and awaits what can be awaited."""
    odd = isinstance(value, Exception | GeneratorType) or value is Undefined
    return not odd and not is_awaitable(value)
