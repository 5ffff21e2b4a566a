"""What an operation can cost at most, known from its arguments before any of it runs.

The unit is a value in the answer. A field counts 1 for each object that has it, or what its metadata says (`costs`) where
it takes a statement, or a call to TikTok. An item of a list counts 1 besides what it shows; how long a list can be follows
from the field's arguments. Of several possible types of an object the most expensive one counts. 50 values are a point, and
an operation costs 1 point at least.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Visitor,
    get_named_type,
    visit,
)
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.execution.values import VariableValues, get_argument_values

from tiktok_accounts_gql.compiler.needs import Selected, Subfields
from tiktok_accounts_gql.errors import LimitExceeded

VALUES_PER_POINT = 50
MAX_POINTS = 1000
SHORT_LIST = 5  # items of a list that declares no size, such as an account's scopes
INTROSPECTION_VALUES = 500  # of `__schema` or `__type`, whose own bounds are in limits.py

Size = Callable[[Mapping[str, Any]], int]

_COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCost:
    """`values` for each object that has the field; `size`: the most items of its list, or of its connection's page."""

    values: int = 1
    size: Size | int | None = None


_PLAIN = FieldCost()


def costs(*, values: int = 1, size: Size | int | None = None) -> dict[str, Any]:
    """Metadata of a field. `size` is a number, or a function of the field's arguments by their names in the contract."""
    return {_COST: FieldCost(values=values, size=size)}


def cost_of(definition: GraphQLField) -> FieldCost:
    """What the field's metadata declares; 1 value if it declares nothing."""
    declared = definition.extensions.get("strawberry-definition")
    cost: FieldCost = getattr(declared, "metadata", {}).get(_COST, _PLAIN)
    return cost


def is_list(definition: GraphQLField) -> bool:
    type_ = definition.type.of_type if isinstance(definition.type, GraphQLNonNull) else definition.type
    return isinstance(type_, GraphQLList)


def is_connection(type_: Any) -> bool:
    """A connection of Relay's: its field's `size` is that of its edges."""
    return isinstance(type_, GraphQLObjectType) and "edges" in type_.fields


def to_points(values: int) -> int:
    """Whole points, 1 at least."""
    return max(1, -(-values // VALUES_PER_POINT))


def check_cost(points: int) -> None:
    """Raises LimitExceeded."""
    if points > MAX_POINTS:
        raise LimitExceeded(
            f"The operation can cost {points} points; {MAX_POINTS} are allowed. "
            "Ask for smaller pages, shorter histories or fewer fields."
        )


class SelectionCost:
    """What a selection set counts for one object. Built once for a document; lengths may depend on its variables."""

    __slots__ = ("_choices", "_fixed", "_lists")

    def __init__(self) -> None:
        self._fixed = 0
        self._lists: list[tuple[_Length, SelectionCost]] = []
        self._choices: list[list[SelectionCost]] = []

    def values(self, variables: VariableValues) -> int:
        """With these variables, which are coerced."""
        total = self._fixed
        for length, item in self._lists:
            total += length.at_most(variables) * item.values(variables)
        for possible in self._choices:
            total += max(one.values(variables) for one in possible)
        return total

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same for all variables."""
        return not self._lists and not self._choices

    def add_values(self, values: int) -> None:
        self._fixed += values

    def add_object(self, selection: "SelectionCost") -> None:
        self._fixed += selection._fixed  # noqa: SLF001 - another one of this class
        self._lists += selection._lists  # noqa: SLF001
        self._choices += selection._choices  # noqa: SLF001

    def add_list(self, length: "_Length", item: "SelectionCost") -> None:
        if length.constant is not None and item.is_fixed:
            self._fixed += length.constant * item._fixed  # noqa: SLF001
        else:
            self._lists.append((length, item))

    def add_choice(self, possible: list["SelectionCost"]) -> None:
        if all(one.is_fixed for one in possible):
            self._fixed += max(one._fixed for one in possible)  # noqa: SLF001
        else:
            self._choices.append(possible)


@dataclass(frozen=True, slots=True)
class _Length:
    """How many items a list has at most: a constant unless its arguments have variables."""

    constant: int | None
    counted: Callable[[VariableValues], int] | None = None

    @classmethod
    def of(cls, definition: GraphQLField, node: FieldNode, size: Size | int) -> "_Length":
        if isinstance(size, int):
            return cls(size)
        count = partial(_count_items, definition, node, size)
        return cls(None, count) if _has_variables(node) else cls(count(None))

    def at_most(self, variables: VariableValues) -> int:
        return self.constant if self.counted is None else self.counted(variables)  # type: ignore[return-value]


_SHORT = _Length(SHORT_LIST)


def _count_items(definition: GraphQLField, node: FieldNode, size: Size, variables: VariableValues | None) -> int:
    """0 for arguments that are refused: nothing is read for them."""
    try:
        return max(0, size(get_argument_values(definition, node, variables)))
    except GraphQLError:
        return 0


def _has_variables(node: FieldNode) -> bool:
    class Search(Visitor):
        found = False

        def enter_variable(self, *_: Any) -> None:
            self.found = True

    search = Search()
    for argument in node.arguments or ():
        visit(argument.value, search)
    return search.found


@dataclass(frozen=True, slots=True)
class CostAnalysis:
    """Counts the selection sets of one operation. `subfields` merges them, as graphql-core does."""

    schema: GraphQLSchema
    subfields: Subfields

    def selection(
        self, type_: GraphQLObjectType, groups: GroupedFieldSet, page: _Length | None = None
    ) -> SelectionCost:
        """Of an object of this type. `page`: of the connection that it is, if it is one."""
        cost = SelectionCost()
        for details in groups.values():
            name = details[0].node.name.value
            if name in type_.fields:
                self._add_field(cost, type_.fields[name], details, page)
            else:
                cost.add_values(1 if name == "__typename" else INTROSPECTION_VALUES)
        return cost

    def _add_field(
        self, cost: SelectionCost, definition: GraphQLField, details: Selected, page: _Length | None
    ) -> None:
        declared, named = cost_of(definition), get_named_type(definition.type)
        cost.add_values(declared.values)
        size = None if declared.size is None else _Length.of(definition, details[0].node, declared.size)
        below = self._below(named, details, size if is_connection(named) else None)
        if not is_list(definition):
            cost.add_object(below)
            return
        item = SelectionCost()
        item.add_values(1)
        item.add_object(below)
        cost.add_list(size or page or _SHORT, item)

    def _below(self, type_: Any, details: Selected, page: _Length | None) -> SelectionCost:
        if isinstance(type_, GraphQLObjectType):
            return self.selection(type_, self.subfields(type_, details), page)
        cost = SelectionCost()
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            possible = self.schema.get_possible_types(type_)
            cost.add_choice([self.selection(one, self.subfields(one, details)) for one in possible])
        return cost
