"""Executes GraphQL documents: known queries by their plans (`compiler/plans.py`), everything else by graphql-core."""

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

from tiktok_accounts_gql.compiler.plans import PlanFailed, ResolverResults
from tiktok_accounts_gql.execution.cooperative import CooperativeExecutor
from tiktok_accounts_gql.execution.document_cache import DocumentCache
from tiktok_accounts_gql.execution.loop_throttle import LoopThrottle
from tiktok_accounts_gql.execution.operations import BoundOperation, CachedOperation, CoercionError

log = structlog.get_logger()


class ExecutionReason(StrEnum):
    """Why a plan answered, or why graphql-core did: a label of the metric `accounts_operations`."""

    PLANNED = "planned"
    TURNED_OFF = "turned_off"
    NOT_A_QUERY = "not_a_query"
    NOT_PLANNABLE = "not_plannable"
    INPUT_REFUSED = "input_refused"
    RESOLVER_RAISED = "resolver_raised"
    UNEXPECTED_VALUE = "unexpected_value"
    PLAN_FAILED = "plan_failed"  # graphql-core reported no error: a bug in the compiler

    @property
    def path(self) -> str:
        return "compiled" if self is ExecutionReason.PLANNED else "graphql-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOperation:
    """A valid document and the operation to execute in it, or the errors of an invalid one."""

    document: DocumentNode | None
    errors: list[GraphQLError] | None
    operation: OperationDefinitionNode | None
    operation_name: str | None  # as the client sent it
    cached: CachedOperation | None = None  # None without an operation

    @property
    def kind(self) -> OperationType | None:
        return self.operation.operation if self.operation else None

    @property
    def name(self) -> str | None:
        """The name that the operation has in the document."""
        return self.operation.name.value if self.operation and self.operation.name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedOperation:
    """A prepared operation with its variables. `bound` is None for variables that graphql-core will refuse."""

    prepared: PreparedOperation
    raw_variables: dict[str, Any] | None
    bound: BoundOperation | None

    @property
    def points(self) -> int:
        """What it costs at most; 0 if it is refused before anything runs."""
        return self.bound.points if self.bound else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fallback:
    """Why graphql-core executes an operation. A plan that failed leaves its `results` and the `cause`."""

    reason: ExecutionReason
    results: ResolverResults | None = None
    cause: BaseException | None = None


class Engine:
    """Prepares, costs and executes operations against a schema. `count` is called with what answered each of them."""

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: DocumentCache,
        *,
        hide_suggestions: bool,
        compiled: bool = True,
        count: Callable[[ExecutionReason], None] = lambda _: None,
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._hide_suggestions = hide_suggestions
        self._compiled = compiled
        self._count = count
        self._throttle = LoopThrottle()

    async def prepare(self, query: str, operation_name: str | None) -> PreparedOperation:
        """Parse, check and validate a document, or take it from the cache. No resolver runs."""
        document: DocumentNode | list[GraphQLError] | None = self._documents.find(query)
        if document is None:
            async with self._throttle.slot():
                document = self._documents.load(query)
                gc.collect(0)  # validation by graphql-core leaves reference cycles that hold the document
        if isinstance(document, list):
            return PreparedOperation(document=None, errors=document, operation=None, operation_name=operation_name)
        operation = get_operation_ast(document, operation_name)
        cached = self._get_cached_operation(query, document, operation) if operation else None
        return PreparedOperation(
            document=document, errors=None, operation=operation, operation_name=operation_name, cached=cached
        )

    async def cost(self, prepared: PreparedOperation, raw_variables: dict[str, Any] | None) -> CostedOperation:
        """Coerce the variables, and compute what the operation can cost with them. Raise LimitExceeded."""
        bound = None
        try:
            if prepared.cached is not None:
                variables = raw_variables or {}
                bound = prepared.cached.find_bound(variables) or await self._bind(prepared.cached, variables)
        except CoercionError:
            pass  # graphql-core says why, and runs nothing
        except GraphQLError as error:
            prepared = replace(prepared, document=None, errors=[error])
        return CostedOperation(prepared=prepared, raw_variables=raw_variables, bound=bound)

    async def execute(self, costed: CostedOperation, context: Any) -> ExecutionResult | bytes:
        """Return graphql-core's result, or the whole answer as JSON if a plan gave it; it has no errors then."""
        prepared = costed.prepared
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        answer = await self._execute_plan(costed, context)
        if isinstance(answer, bytes):
            self._count(ExecutionReason.PLANNED)
            return answer
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=costed.raw_variables,
            operation_name=prepared.operation_name,
            middleware=[answer.results] if answer.results else None,
            executor_class=CooperativeExecutor,
            hide_suggestions=self._hide_suggestions,
        )
        result = await result if isawaitable(result) else result
        self._count(self._check_fallback(answer, result, prepared))
        return result

    async def subscribe(
        self, costed: CostedOperation, new_context: Callable[[], Awaitable[Any]]
    ) -> AsyncGenerator[ExecutionResult] | ExecutionResult:
        """Return a result for each event, or the one that refuses the subscription.

        Each event has its own context: what was loaded for one event is out of date for the next one.
        """
        prepared = costed.prepared
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        executor = CooperativeExecutor.build(
            self._schema,
            prepared.document,
            context_value=await new_context(),
            raw_variable_values=costed.raw_variables,
            operation_name=prepared.operation_name,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            return ExecutionResult(data=None, errors=executor)

        async def execute_event(event_executor: Executor[Any]) -> ExecutionResult:
            event_executor.context_value = await new_context()
            result = execute_subscription_event(event_executor)
            return await result if isawaitable(result) else result

        source = create_source_event_stream(executor)
        events = await source if isawaitable(source) else source
        if isinstance(events, ExecutionResult):
            return events
        return map_source_to_response_event(executor, events, execute_event)

    def _get_cached_operation(
        self, query: str, document: DocumentNode, operation: OperationDefinitionNode
    ) -> CachedOperation:
        def build() -> CachedOperation:
            return CachedOperation(self._schema, document, operation, compiled=self._compiled)

        name = operation.name.value if operation.name else None
        return self._documents.get_or_build_operation(query, name, build)

    async def _bind(self, operation: CachedOperation, raw_variables: dict[str, Any]) -> BoundOperation:
        """Raise CoercionError, LimitExceeded, GraphQLError."""
        variables = operation.coerce(raw_variables)
        if operation.is_specialized(variables):
            return operation.bind(raw_variables, variables)
        async with self._throttle.slot():
            return operation.bind(raw_variables, variables)

    async def _execute_plan(self, costed: CostedOperation, context: Any) -> bytes | _Fallback:
        bound = costed.bound
        if bound is not None and bound.plan is not None and bound.arguments is not None:
            try:
                return await bound.plan.execute(context, bound.variables, bound.arguments)
            except PlanFailed as error:
                is_resolver_error = error.is_resolver_error
                reason = ExecutionReason.RESOLVER_RAISED if is_resolver_error else ExecutionReason.UNEXPECTED_VALUE
                return _Fallback(reason=reason, results=error.results, cause=error.__cause__)
        if not self._compiled:
            return _Fallback(reason=ExecutionReason.TURNED_OFF)
        if bound is None or bound.plan is not None:
            return _Fallback(reason=ExecutionReason.INPUT_REFUSED)
        is_query = costed.prepared.kind is OperationType.QUERY
        return _Fallback(reason=ExecutionReason.NOT_PLANNABLE if is_query else ExecutionReason.NOT_A_QUERY)

    def _check_fallback(
        self, fallback: _Fallback, result: ExecutionResult, prepared: PreparedOperation
    ) -> ExecutionReason:
        """Return the reason to count: PLAN_FAILED if graphql-core reports no error after a plan failed."""
        if fallback.results is None or result.errors:
            return fallback.reason
        log.warning("a plan failed without an error", operation=prepared.name, exc_info=fallback.cause)
        return ExecutionReason.PLAN_FAILED
