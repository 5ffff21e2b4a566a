"""An operation that is asked again and again: what it costs, its plans, and what its variables came to."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
import structlog
from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, GroupedFieldSet, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import UndefinedType

from tiktok_accounts_gql.compiler.calls import Given, NotPlannable
from tiktok_accounts_gql.compiler.needs import Selected, Subfields
from tiktok_accounts_gql.compiler.plans import Arguments, Plan
from tiktok_accounts_gql.execution.cost import CostAnalysis, SelectionCost, check_cost, to_points
from tiktok_accounts_gql.execution.input_bounds import bounds_of

log = structlog.get_logger()

MOST_PLANS = 8
MOST_REQUESTS = 16
LONGEST_VARIABLES = 512
_CONSTANT = (str, int, float, type(None), date, UUID, Enum, UndefinedType)


class InputRefused(Exception):
    """Variables or arguments cannot be coerced: graphql-core says why."""


@dataclass(frozen=True, slots=True)
class _Variant:
    """One answer to each @skip and @include: what it costs, and its plan if it has one."""

    cost: SelectionCost
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Request:
    """An operation with its variables: nothing of it has run. Without a plan graphql-core executes it.

    `is_constant`: none of its values is a list, a dict or an input, which resolvers may change.
    """

    points: int
    plan: Plan | None
    variables: VariableValues
    arguments: Arguments | None  # None if they cannot be coerced
    is_constant: bool

    async def answer(self, context: Any) -> bytes:
        """Raises NotPlannable, InputRefused, Failed."""
        if self.plan is None:
            raise NotPlannable
        if self.arguments is None:
            raise InputRefused
        return await self.plan.answer(context, self.variables, self.arguments)

    def copied(self) -> "Request":
        """With lists, dicts and inputs of its own: resolvers may change what they are given."""
        if self.is_constant:
            return self
        sources = {name: one._replace(value=_copy(one.value)) for name, one in self.variables.sources.items()}
        variables = VariableValues(sources, _copy(self.variables.coerced))
        return Request(self.points, self.plan, variables, _copy(self.arguments), is_constant=False)


class Operation:
    """One operation of a document; only queries have plans. Raises NotPlannable for an unknown directive."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, *, planned: bool
    ) -> None:
        fragments = [one for one in document.definitions if isinstance(one, FragmentDefinitionNode)]
        by_name = {one.name.value: one for one in fragments}
        root = schema.get_root_type(operation.operation)
        if root is None:
            raise NotPlannable
        self._planned = planned and operation.operation is OperationType.QUERY
        self._given = Given(schema=schema, query=root, operation=operation, fragments=by_name)
        self._fragments = {name: FragmentDetails(one) for name, one in by_name.items()}
        self._conditions = _conditions(document)
        self._bounds = bounds_of(schema, operation)
        self._variants: dict[tuple[Any, ...], _Variant] = {}
        self._requests: dict[bytes, Request] = {}

    def remembered(self, inputs: dict[str, Any]) -> Request | None:
        """The request with these variables, if it was made lately."""
        key = _key(inputs)
        known = self._requests.get(key) if key is not None else None
        return known and known.copied()

    def coerce(self, inputs: dict[str, Any]) -> VariableValues:
        """Raises InputRefused, LimitExceeded."""
        self._bounds.check(inputs)
        definitions = self._given.operation.variable_definitions or ()
        variables = get_variable_values(self._given.schema, definitions, inputs, max_errors=1)
        if not isinstance(variables, VariableValues):
            raise InputRefused
        return variables

    def knows(self, variables: VariableValues) -> bool:
        """Whether the next step costs next to nothing."""
        return self._key_of(variables) in self._variants

    def request(self, inputs: dict[str, Any], variables: VariableValues) -> Request:
        """Raises LimitExceeded, and GraphQLError for a @skip or @include with null."""
        variant = self._variant(variables)
        points = to_points(variant.cost.values(variables))
        check_cost(points)
        arguments: Arguments | None = None
        with suppress(Exception):  # scalars raise what they like
            arguments = variant.plan.arguments(variables) if variant.plan else []
        sources = [one.value for one in variables.sources.values()]
        values = [*sources, *variables.coerced.values(), *(one for given in arguments or () for one in given.values())]
        is_constant = all(isinstance(one, _CONSTANT) for one in values)
        request = Request(points, variant.plan, variables, arguments, is_constant)
        key = _key(inputs)
        if key is not None and all(map(_is_rememberable, values)):
            _remember(self._requests, key, request.copied(), MOST_REQUESTS)
        return request

    def _key_of(self, variables: VariableValues) -> tuple[Any, ...]:
        return tuple(variables.coerced.get(name) for name in self._conditions)

    def _variant(self, variables: VariableValues) -> _Variant:
        key = self._key_of(variables)
        if key not in self._variants:
            _remember(self._variants, key, self._new_variant(variables), MOST_PLANS)
        return self._variants[key]

    def _new_variant(self, variables: VariableValues) -> _Variant:
        given, fragments = self._given, self._fragments

        def subfields(type_: GraphQLObjectType, selected: Selected) -> GroupedFieldSet:
            below = collect_subfields(given.schema, fragments, variables, given.operation, type_, selected)
            return below.grouped_field_set

        roots = collect_fields(given.schema, fragments, variables, given.query, given.operation).grouped_field_set
        cost = CostAnalysis(given.schema, subfields).selection(given.query, roots)
        return _Variant(cost, self._new_plan(roots, subfields) if self._planned else None)

    def _new_plan(self, roots: GroupedFieldSet, subfields: Subfields) -> Plan | None:
        try:
            return Plan(self._given, roots, subfields)
        except (NotPlannable, GraphQLError):
            return None
        except Exception:
            log.exception("no plan could be made")  # nobody waits for more than time
            return None


def _conditions(document: DocumentNode) -> tuple[str, ...]:
    """The variables of @skip and @include. Raises NotPlannable for any other directive."""
    names: dict[str, None] = {}

    class Conditions(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            if node.name.value not in ("skip", "include"):
                raise NotPlannable
            names.update(
                {one.value.name.value: None for one in node.arguments or () if isinstance(one.value, VariableNode)}
            )

    visit(document, Conditions())
    return tuple(names)


def _key(inputs: dict[str, Any]) -> bytes | None:
    try:
        key = orjson.dumps(inputs)
    except TypeError:
        return None
    return key if len(key) <= LONGEST_VARIABLES else None


def _remember(store: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    if len(store) >= most:
        del store[next(iter(store))]
    store[key] = value


def _copy(value: Any) -> Any:
    """Own lists, dicts and inputs, of what `_is_rememberable`; all else is shared."""
    kind = type(value)
    if kind is dict:
        return {key: _copy(one) for key, one in value.items()}
    if kind is list:
        return [_copy(one) for one in value]
    if isinstance(value, _CONSTANT):
        return value
    copied: Any = object.__new__(kind)
    vars(copied).update(_copy(vars(value)))
    return copied


def _is_rememberable(value: Any) -> bool:
    if isinstance(value, _CONSTANT):
        return True
    if hasattr(type(value), "__strawberry_definition__") and hasattr(value, "__dict__"):
        value = vars(value)
    if type(value) is dict:
        return all(map(_is_rememberable, value.values()))
    return type(value) is list and all(map(_is_rememberable, value))
