"""Executes GraphQL documents: checked once by their text; known queries by a plan (`plans.py`), all else by graphql-core."""

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from inspect import isawaitable
from typing import Any

import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
)
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_subscription_event,
    map_source_to_response_event,
)

from tiktok_accounts_gql.compiler.calls import NotPlannable
from tiktok_accounts_gql.compiler.plans import Failed, Outcomes
from tiktok_accounts_gql.execution.limits import Documents
from tiktok_accounts_gql.execution.operations import InputRefused, Operation, Request
from tiktok_accounts_gql.execution.portions import PortionedExecutor
from tiktok_accounts_gql.execution.turns import Turns

log = structlog.get_logger()


class Reason(StrEnum):
    """Why a plan answered, or why graphql-core did."""

    PLANNED = "planned"
    TURNED_OFF = "turned_off"
    NOT_A_QUERY = "not_a_query"
    NOT_PLANNABLE = "not_plannable"
    INPUT_REFUSED = "input_refused"
    RESOLVER_RAISED = "resolver_raised"
    UNEXPECTED_VALUE = "unexpected_value"
    PLAN_FAILED = "plan_failed"  # graphql-core found nothing wrong: a mistake in the plan

    @property
    def path(self) -> str:
        return "compiled" if self is Reason.PLANNED else "graphql-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document with the operation to execute, or the errors that refuse it."""

    document: DocumentNode | None
    errors: list[GraphQLError] | None
    operation: OperationDefinitionNode | None
    operation_name: str | None
    known: Operation | None = None  # None without an operation

    @property
    def kind(self) -> OperationType | None:
        return self.operation.operation if self.operation else None

    @property
    def name(self) -> str | None:
        """The operation's own name."""
        return self.operation.name.value if self.operation and self.operation.name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """What is to be executed, and its cost in points: 0 if graphql-core refuses it before anything runs."""

    prepared: Prepared
    inputs: dict[str, Any] | None
    request: Request | None

    @property
    def points(self) -> int:
        return self.request.points if self.request else 0


class Engine:
    """Knows GraphQL, and nothing of what the schema is about. `count` is told how each operation was answered."""

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: Documents,
        *,
        hide_suggestions: bool,
        compiled: bool = True,
        count: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._hide_suggestions = hide_suggestions
        self._compiled = compiled
        self._count = count
        self._turns = Turns()

    async def prepare(self, query: str, operation_name: str | None) -> Prepared:
        """Parses, checks and validates, or remembers having done so. Runs no resolver."""
        document = self._documents.find(query) or await self._new_document(query)
        if isinstance(document, list):
            return Prepared(document=None, errors=document, operation=None, operation_name=operation_name)
        operation = get_operation_ast(document, operation_name)
        known = self._operation(query, document, operation) if operation else None
        return Prepared(document=document, errors=None, operation=operation, operation_name=operation_name, known=known)

    async def cost(self, prepared: Prepared, inputs: dict[str, Any] | None) -> Costed:
        """Coerces the variables and counts what the operation can cost with them. Raises LimitExceeded."""
        request = None
        try:
            if prepared.known is not None:
                given = inputs or {}
                request = prepared.known.remembered(given) or await self._new_request(prepared.known, given)
        except InputRefused:
            pass  # graphql-core says why, and runs nothing
        except GraphQLError as error:
            prepared = replace(prepared, document=None, errors=[error])
        return Costed(prepared=prepared, inputs=inputs, request=request)

    async def execute(self, costed: Costed, context: Any) -> ExecutionResult | bytes:
        """The whole answer as JSON, if a plan gave it; it has no errors then."""
        prepared = costed.prepared
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        answered = await self._by_plan(costed, context)
        if isinstance(answered, bytes):
            self._count(Reason.PLANNED)
            return answered
        middleware = [answered.outcomes] if answered.outcomes else None
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=costed.inputs,
            operation_name=prepared.operation_name,
            middleware=middleware,
            executor_class=PortionedExecutor,
            hide_suggestions=self._hide_suggestions,
        )
        result = await result if isawaitable(result) else result
        self._count(self._judged(answered, result, prepared))
        return result

    async def _new_document(self, query: str) -> DocumentNode | list[GraphQLError]:
        async with self._turns.take():
            document = self._documents.get(query)
            gc.collect(0)  # graphql-core's validation leaves circles that hold the document
            return document

    def _operation(self, query: str, document: DocumentNode, operation: OperationDefinitionNode) -> Operation:
        def make() -> Operation:
            return Operation(self._schema, document, operation, planned=self._compiled)

        return self._documents.operation(query, operation.name.value if operation.name else None, make)

    async def _new_request(self, operation: Operation, inputs: dict[str, Any]) -> Request:
        """Raises InputRefused, LimitExceeded, GraphQLError."""
        variables = operation.coerce(inputs)
        if operation.knows(variables):
            return operation.request(inputs, variables)
        async with self._turns.take():
            return operation.request(inputs, variables)

    async def _by_plan(self, costed: Costed, context: Any) -> "bytes | _Left":
        if costed.request is None:
            return _Left(reason=Reason.INPUT_REFUSED if self._compiled else Reason.TURNED_OFF)
        try:
            return await costed.request.answer(context)
        except NotPlannable:
            return _Left(reason=self._reason_for_no_plan(costed.prepared))
        except InputRefused:
            return _Left(reason=Reason.INPUT_REFUSED)
        except Failed as error:
            reason = Reason.RESOLVER_RAISED if error.raised else Reason.UNEXPECTED_VALUE
            return _Left(reason=reason, outcomes=error.outcomes, cause=error.__cause__)

    def _reason_for_no_plan(self, prepared: Prepared) -> Reason:
        if not self._compiled:
            return Reason.TURNED_OFF
        return Reason.NOT_PLANNABLE if prepared.kind is OperationType.QUERY else Reason.NOT_A_QUERY

    def _judged(self, left: "_Left", result: ExecutionResult, prepared: Prepared) -> Reason:
        if left.outcomes is None or result.errors:
            return left.reason
        log.warning("a plan failed without need", operation=prepared.name, exc_info=left.cause)
        return Reason.PLAN_FAILED

    async def subscribe(
        self, costed: Costed, new_context: Callable[[], Awaitable[Any]]
    ) -> AsyncGenerator[ExecutionResult] | ExecutionResult:
        """A result for each event, or the one that refuses the subscription.

        Each event has a context of its own: what one has loaded is old when the next one comes.
        """
        prepared = costed.prepared
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        executor = PortionedExecutor.build(
            self._schema,
            prepared.document,
            context_value=await new_context(),
            raw_variable_values=costed.inputs,
            operation_name=prepared.operation_name,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            return ExecutionResult(data=None, errors=executor)

        async def execute_event(of_event: Executor[Any]) -> ExecutionResult:
            of_event.context_value = await new_context()
            result = execute_subscription_event(of_event)
            return await result if isawaitable(result) else result

        source = create_source_event_stream(executor)
        events = await source if isawaitable(source) else source
        if isinstance(events, ExecutionResult):
            return events
        return map_source_to_response_event(executor, events, execute_event)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """To graphql-core. `outcomes`: of a plan that had begun; `cause` ended it."""

    reason: Reason
    outcomes: Outcomes | None = None
    cause: BaseException | None = None
