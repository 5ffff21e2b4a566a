"""A query that is asked again and again: its plans, and what its variables came to."""

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
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, GroupedFieldSet, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import UndefinedType

from tiktok_accounts_gql.execution.calls import Given, NotPlannable
from tiktok_accounts_gql.execution.needs import Selected
from tiktok_accounts_gql.execution.plans import Arguments, Plan

log = structlog.get_logger()

MOST_PLANS = 8
MOST_REQUESTS = 16
LONGEST_VARIABLES = 512
_CONSTANT = (str, int, float, type(None), date, UUID, Enum, UndefinedType)


class InputRefused(Exception):
    """Variables or arguments cannot be coerced: graphql-core says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """A plan with the variables and arguments to run it with."""

    plan: Plan
    variables: VariableValues
    arguments: Arguments

    async def answer(self, context: Any) -> bytes:
        """Raises Failed."""
        return await self.plan.answer(context, self.variables, self.arguments)

    def copied(self) -> "Request":
        """With lists, dicts and inputs of its own: resolvers may change what they are given."""
        sources = {name: one._replace(value=_copy(one.value)) for name, one in self.variables.sources.items()}
        return Request(self.plan, VariableValues(sources, _copy(self.variables.coerced)), _copy(self.arguments))


class Operation:
    """One query of a document. Raises NotPlannable."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        fragments = [one for one in document.definitions if isinstance(one, FragmentDefinitionNode)]
        by_name = {one.name.value: one for one in fragments}
        if schema.query_type is None:
            raise NotPlannable
        self._given = Given(schema=schema, query=schema.query_type, operation=operation, fragments=by_name)
        self._fragments = {name: FragmentDetails(one) for name, one in by_name.items()}
        self._conditions = _conditions(document)
        self._plans: dict[tuple[Any, ...], Plan | None] = {}
        self._requests: dict[bytes, Request] = {}

    def request(self, inputs: dict[str, Any]) -> Request:
        """Raises NotPlannable, InputRefused."""
        key = _key(inputs)
        known = self._requests.get(key) if key is not None else None
        if known is not None:
            return known.copied()
        request = self._new_request(inputs)
        sources = [one.value for one in request.variables.sources.values()]
        if key is not None and _is_rememberable([sources, request.variables.coerced, request.arguments]):
            _remember(self._requests, key, request.copied(), MOST_REQUESTS)
        return request

    def _new_request(self, inputs: dict[str, Any]) -> Request:
        definitions = self._given.operation.variable_definitions or ()
        variables = get_variable_values(self._given.schema, definitions, inputs, max_errors=1)
        if not isinstance(variables, VariableValues):
            raise InputRefused
        plan = self._plan(variables)
        try:
            return Request(plan, variables, plan.arguments(variables))
        except Exception:  # noqa: BLE001 - scalars raise what they like
            raise InputRefused from None

    def _plan(self, variables: VariableValues) -> Plan:
        variant = tuple(variables.coerced.get(name) for name in self._conditions)
        if variant not in self._plans:
            _remember(self._plans, variant, self._new_plan(variables), MOST_PLANS)
        plan = self._plans[variant]
        if plan is None:
            raise NotPlannable
        return plan

    def _new_plan(self, variables: VariableValues) -> Plan | None:
        given, fragments = self._given, self._fragments

        def subfields(type_: GraphQLObjectType, selected: Selected) -> GroupedFieldSet:
            below = collect_subfields(given.schema, fragments, variables, given.operation, type_, selected)
            return below.grouped_field_set

        try:
            roots = collect_fields(given.schema, fragments, variables, given.query, given.operation)
            return Plan(given, roots.grouped_field_set, subfields)
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
