"""What an operation can cost at most, computed from its arguments before any of it runs.

The unit is a value in the answer. A field counts 1 for each object that has it, or what its metadata says (`costs`) where
it takes a statement or a call to TikTok. An item of a list counts 1 besides what it contains; how long a list can be follows
from the field's arguments. Of several possible types of an object the most expensive one counts. 50 values are a point, and
an operation costs at least 1 point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import (
    BREAK,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    VariableValues,
    Visitor,
    get_argument_values,
    get_named_type,
    visit,
)

from tiktok_accounts_gql.compiler.internals import FieldDetailsList, GroupedFieldSet, find_field
from tiktok_accounts_gql.compiler.lookahead import CollectSubfields
from tiktok_accounts_gql.errors import LimitExceeded

VALUES_PER_POINT = 50
MAX_POINTS = 1000
DEFAULT_LIST_SIZE = 5  # items of a list that declares no size, such as an account's scopes
INTROSPECTION_VALUES = 500  # of `__schema` or `__type`; limits.py limits what is below them

ListSize = Callable[[Mapping[str, Any]], int]  # takes the field's arguments by their names in the contract

_COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCost:
    """`values` for each object that has the field; `size`: the most items of its list, or of its connection's page."""

    values: int = 1
    size: ListSize | int | None = None


_DEFAULT_COST = FieldCost()


def costs(*, values: int = 1, size: ListSize | int | None = None) -> dict[str, Any]:
    """Return the metadata of a field with this cost."""
    return {_COST: FieldCost(values=values, size=size)}


def get_field_cost(field: GraphQLField) -> FieldCost:
    """Return what the field's metadata declares; 1 value if it declares nothing."""
    definition = find_field(field)
    cost: FieldCost = definition.metadata.get(_COST, _DEFAULT_COST) if definition else _DEFAULT_COST
    return cost


def is_list(field: GraphQLField) -> bool:
    type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return isinstance(type_, GraphQLList)


def is_connection(type_: Any) -> bool:
    """Return whether a type is a Relay connection: the `size` of a field of this type is that of its edges."""
    return isinstance(type_, GraphQLObjectType) and "edges" in type_.fields


def to_points(values: int) -> int:
    """Return the points for so many values, rounded up."""
    return max(1, -(-values // VALUES_PER_POINT))


def check_cost(points: int) -> None:
    """Raise LimitExceeded for more than MAX_POINTS."""
    if points > MAX_POINTS:
        raise LimitExceeded(
            f"The operation can cost {points} points; {MAX_POINTS} are allowed. "
            "Ask for smaller pages, shorter histories or fewer fields."
        )


class SelectionCost:
    """The values that a selection set can have for one object. Built once for a document; sizes may depend on variables."""

    __slots__ = ("_alternatives", "_fixed", "_lists")

    def __init__(self) -> None:
        self._fixed = 0
        self._lists: list[tuple[_Size, SelectionCost]] = []
        self._alternatives: list[list[SelectionCost]] = []

    def count_values(self, variables: VariableValues) -> int:
        total = self._fixed
        for size, item in self._lists:
            total += size.compute(variables) * item.count_values(variables)
        for alternatives in self._alternatives:
            total += max(cost.count_values(variables) for cost in alternatives)
        return total

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same for all variables."""
        return not self._lists and not self._alternatives

    def add_values(self, values: int) -> None:
        self._fixed += values

    def add_object(self, selection: "SelectionCost") -> None:
        self._fixed += selection._fixed  # noqa: SLF001 - of the same class, as below
        self._lists += selection._lists  # noqa: SLF001
        self._alternatives += selection._alternatives  # noqa: SLF001

    def add_list(self, size: "_Size", item: "SelectionCost") -> None:
        if size.constant is not None and item.is_fixed:
            self._fixed += size.constant * item._fixed  # noqa: SLF001
        else:
            self._lists.append((size, item))

    def add_alternatives(self, costs: list["SelectionCost"]) -> None:
        """Add the most expensive of them."""
        if all(cost.is_fixed for cost in costs):
            self._fixed += max(cost._fixed for cost in costs)  # noqa: SLF001
        else:
            self._alternatives.append(costs)


@dataclass(frozen=True, slots=True)
class _Size:
    """The most items of a list: a constant, or a function of the variables if its arguments have some."""

    constant: int | None
    count_items: Callable[[VariableValues], int] | None = None

    @classmethod
    def build(cls, field: GraphQLField, node: FieldNode, size: ListSize | int) -> "_Size":
        if isinstance(size, int):
            return cls(size)
        count_items = partial(_count_items, field, node, size)
        return cls(None, count_items) if _has_variables(node) else cls(count_items(None))

    def compute(self, variables: VariableValues) -> int:
        return self.constant if self.count_items is None else self.count_items(variables)  # type: ignore[return-value]


_DEFAULT_SIZE = _Size(DEFAULT_LIST_SIZE)


def _count_items(field: GraphQLField, node: FieldNode, size: ListSize, variables: VariableValues | None) -> int:
    """Return 0 for invalid arguments, for which nothing is read."""
    try:
        return max(0, size(get_argument_values(field, node, variables)))
    except GraphQLError:
        return 0


def _has_variables(node: FieldNode) -> bool:
    class VariableVisitor(Visitor):
        has_variables = False

        def enter_variable(self, *_: Any) -> Any:
            self.has_variables = True
            return BREAK

    visitor = VariableVisitor()
    for argument in node.arguments or ():
        visit(argument.value, visitor)
    return visitor.has_variables


@dataclass(frozen=True, slots=True)
class CostAnalysis:
    """Measures the selection sets of one operation."""

    schema: GraphQLSchema
    collect_subfields: CollectSubfields

    def measure(self, type_: GraphQLObjectType, groups: GroupedFieldSet, page: _Size | None = None) -> SelectionCost:
        """Measure a selection set on an object type. `page` is the size of a connection's page, if the type is one."""
        cost = SelectionCost()
        for details in groups.values():
            name = details[0].node.name.value
            if name in type_.fields:
                self._add_field(cost, type_.fields[name], details, page)
            else:
                cost.add_values(1 if name == "__typename" else INTROSPECTION_VALUES)
        return cost

    def _add_field(
        self, cost: SelectionCost, field: GraphQLField, details: FieldDetailsList, page: _Size | None
    ) -> None:
        declared, named = get_field_cost(field), get_named_type(field.type)
        cost.add_values(declared.values)
        size = None if declared.size is None else _Size.build(field, details[0].node, declared.size)
        selection = self._measure_type(named, details, size if is_connection(named) else None)
        if not is_list(field):
            cost.add_object(selection)
            return
        item = SelectionCost()
        item.add_values(1)
        item.add_object(selection)
        cost.add_list(size or page or _DEFAULT_SIZE, item)

    def _measure_type(self, type_: Any, details: FieldDetailsList, page: _Size | None) -> SelectionCost:
        if isinstance(type_, GraphQLObjectType):
            return self.measure(type_, self.collect_subfields(type_, details), page)
        cost = SelectionCost()
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            possible_types = self.schema.get_possible_types(type_)
            cost.add_alternatives(
                [self.measure(possible, self.collect_subfields(possible, details)) for possible in possible_types]
            )
        return cost
