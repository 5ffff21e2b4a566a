"""An operation that is executed again and again, with what is cached for it: its cost, its plans, its coerced variables."""

from collections.abc import Iterable
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
    VariableValues,
    Visitor,
    get_variable_values,
    visit,
)
from graphql.pyutils import UndefinedType

from tiktok_accounts_gql.compiler.codegen import CodeGenerator
from tiktok_accounts_gql.compiler.internals import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
    is_input_value,
)
from tiktok_accounts_gql.compiler.plans import Arguments, Plan
from tiktok_accounts_gql.compiler.resolver_calls import CompilationUnit, CompileError
from tiktok_accounts_gql.execution.cost import CostAnalysis, SelectionCost, check_cost, to_points
from tiktok_accounts_gql.execution.input_limits import build_input_limits

log = structlog.get_logger()

MAX_SPECIALIZATIONS = 8  # of an operation
MAX_BOUND = 16  # bound operations that are cached with an operation
MAX_CACHED_VARIABLES = 512  # bytes of JSON
_IMMUTABLE = (str, int, float, type(None), date, UUID, Enum, UndefinedType)


class CoercionError(Exception):
    """Variables or arguments cannot be coerced. graphql-core says why when it executes the operation."""


@dataclass(frozen=True, slots=True)
class _Specialization:
    """An operation with one value for each of its @skip and @include."""

    cost: SelectionCost
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class BoundOperation:
    """An operation with its variables, ready to be executed: by its plan, or by graphql-core if it has none.

    `is_immutable`: none of the values is a list, a dict or an input, which resolvers may change.
    """

    points: int
    plan: Plan | None
    variables: VariableValues
    arguments: Arguments | None  # None if they cannot be coerced
    is_immutable: bool

    def copy(self) -> "BoundOperation":
        """Copy the lists, dicts and inputs in it, so that resolvers may change theirs."""
        if self.is_immutable:
            return self
        sources = {
            name: source._replace(value=_copy_value(source.value)) for name, source in self.variables.sources.items()
        }
        variables = VariableValues(sources, _copy_value(self.variables.coerced))
        return BoundOperation(self.points, self.plan, variables, _copy_value(self.arguments), is_immutable=False)


class CachedOperation:
    """One operation of a document. With `compiled`, plans are made for queries.

    Raises CompileError for a directive other than @skip and @include.
    """

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, *, compiled: bool
    ) -> None:
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        root_type = schema.get_root_type(operation.operation)
        if root_type is None:
            raise CompileError
        self._compiled = compiled and operation.operation is OperationType.QUERY
        self._unit = CompilationUnit(schema=schema, root_type=root_type, operation=operation, fragments=fragments)
        self._fragments = {name: FragmentDetails(node) for name, node in fragments.items()}
        self._condition_variables = _list_condition_variables(document)
        self._limits = build_input_limits(schema, operation)
        self._specializations: dict[tuple[Any, ...], _Specialization] = {}
        self._bound: dict[bytes, BoundOperation] = {}

    def find_bound(self, raw_variables: dict[str, Any]) -> BoundOperation | None:
        """Return the operation that was bound to equal variables before, if it is still cached."""
        key = _to_key(raw_variables)
        bound = self._bound.get(key) if key is not None else None
        return bound and bound.copy()

    def coerce(self, raw_variables: dict[str, Any]) -> VariableValues:
        """Raise CoercionError for invalid variables, LimitExceeded for lists that are too long."""
        self._limits.check(raw_variables)
        definitions = self._unit.operation.variable_definitions or ()
        variables = get_variable_values(self._unit.schema, definitions, raw_variables, max_errors=1)
        if not isinstance(variables, VariableValues):
            raise CoercionError
        return variables

    def is_specialized(self, variables: VariableValues) -> bool:
        """Return whether `bind` has nothing to compile, which takes milliseconds."""
        return self._get_condition_values(variables) in self._specializations

    def bind(self, raw_variables: dict[str, Any], variables: VariableValues) -> BoundOperation:
        """Raise LimitExceeded, or GraphQLError for a @skip or @include with null."""
        condition_values = self._get_condition_values(variables)
        if condition_values not in self._specializations:
            _put(self._specializations, condition_values, self._compile(variables), MAX_SPECIALIZATIONS)
        specialization = self._specializations[condition_values]
        points = to_points(specialization.cost.count_values(variables))
        check_cost(points)
        plan = specialization.plan
        arguments: Arguments | None = None
        with suppress(Exception):  # scalars raise exceptions of any type
            arguments = plan.coerce_arguments(variables) if plan else []
        values = [source.value for source in variables.sources.values()]
        values += variables.coerced.values()
        values += [value for call_arguments in arguments or () for value in call_arguments.values()]
        is_immutable = all(isinstance(value, _IMMUTABLE) for value in values)
        bound = BoundOperation(points, plan, variables, arguments, is_immutable)
        key = _to_key(raw_variables)
        if key is not None and _are_copyable(values):
            _put(self._bound, key, bound.copy(), MAX_BOUND)
        return bound

    def _get_condition_values(self, variables: VariableValues) -> tuple[Any, ...]:
        return tuple(variables.coerced.get(name) for name in self._condition_variables)

    def _compile(self, variables: VariableValues) -> _Specialization:
        unit, fragments = self._unit, self._fragments

        def collect(type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
            collected = collect_subfields(unit.schema, fragments, variables, unit.operation, type_, details)
            return collected.grouped_field_set

        root = collect_fields(unit.schema, fragments, variables, unit.root_type, unit.operation).grouped_field_set
        cost = CostAnalysis(unit.schema, collect).measure(unit.root_type, root)
        plan = None
        if self._compiled:
            try:
                plan = Plan(CodeGenerator(unit, collect), root)
            except (CompileError, GraphQLError):
                pass
            except Exception:
                log.exception("an operation could not be compiled")  # graphql-core answers, more slowly
        return _Specialization(cost, plan)


def _list_condition_variables(document: DocumentNode) -> tuple[str, ...]:
    """Return the variables of @skip and @include. Raise CompileError for any other directive."""
    names: dict[str, None] = {}  # as an ordered set

    class ConditionVisitor(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            if node.name.value not in ("skip", "include"):
                raise CompileError
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    names[argument.value.name.value] = None

    visit(document, ConditionVisitor())
    return tuple(names)


def _to_key(raw_variables: dict[str, Any]) -> bytes | None:
    """Return None for variables that are too large to be cached, or are not JSON."""
    try:
        key = orjson.dumps(raw_variables)
    except TypeError:
        return None
    return key if len(key) <= MAX_CACHED_VARIABLES else None


def _put(cache: dict[Any, Any], key: Any, value: Any, max_size: int) -> None:
    """Add an entry. The oldest one is evicted if the cache is full."""
    if len(cache) >= max_size:
        del cache[next(iter(cache))]
    cache[key] = value


def _copy_value(value: Any) -> Any:
    """Copy lists, dicts and inputs of a copyable value; everything else in it is shared."""
    kind = type(value)
    if kind is dict:
        return {key: _copy_value(item) for key, item in value.items()}
    if kind is list:
        return [_copy_value(item) for item in value]
    if isinstance(value, _IMMUTABLE):
        return value
    copy: Any = object.__new__(kind)
    vars(copy).update(_copy_value(vars(value)))
    return copy


def _are_copyable(values: Iterable[Any]) -> bool:
    """Return whether values consist of nothing but lists, dicts, inputs and immutable values."""
    return all(_is_copyable(value) for value in values)


def _is_copyable(value: Any) -> bool:
    if isinstance(value, _IMMUTABLE):
        return True
    if is_input_value(value):
        value = vars(value)
    if type(value) is dict:
        return _are_copyable(value.values())
    return type(value) is list and _are_copyable(value)
