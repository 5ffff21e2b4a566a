"""Executes GraphQL documents: checked once by their text; known queries by a plan (`plans.py`), all else by graphql-core."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
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

from tiktok_accounts_gql.execution.calls import NotPlannable
from tiktok_accounts_gql.execution.limits import Documents
from tiktok_accounts_gql.execution.operations import InputRefused, Operation
from tiktok_accounts_gql.execution.plans import Failed, Outcomes

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
    """A document with the operation to execute, or the errors that refuse it; `plan` is that of a known query."""

    document: DocumentNode | None
    errors: list[GraphQLError] | None
    operation: OperationDefinitionNode | None
    operation_name: str | None
    plan: Operation | Reason = Reason.NOT_PLANNABLE

    @property
    def kind(self) -> OperationType | None:
        return self.operation.operation if self.operation else None

    @property
    def name(self) -> str | None:
        """The operation's own name."""
        return self.operation.name.value if self.operation and self.operation.name else None


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

    def prepare(self, query: str, operation_name: str | None) -> Prepared:
        """Parses, checks and validates, or remembers having done so. Runs no resolver."""
        found = self._documents.get(query)
        if isinstance(found, DocumentNode):
            operation = get_operation_ast(found, operation_name)
            plan = self._plan(query, found, operation) if operation else Reason.NOT_PLANNABLE
            return Prepared(document=found, errors=None, operation=operation, operation_name=operation_name, plan=plan)
        return Prepared(document=None, errors=found, operation=None, operation_name=operation_name)

    async def execute(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: Any
    ) -> ExecutionResult | bytes:
        """The whole answer as JSON, if a plan gave it; it has no errors then."""
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        answered = await _by_plan(prepared.plan, variables, context)
        if isinstance(answered, bytes):
            self._count(Reason.PLANNED)
            return answered
        middleware = [answered.outcomes] if answered.outcomes else None
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=variables,
            operation_name=prepared.operation_name,
            middleware=middleware,
            hide_suggestions=self._hide_suggestions,
        )
        result = await result if isawaitable(result) else result
        self._count(self._judged(answered, result, prepared))
        return result

    def _plan(self, query: str, document: DocumentNode, operation: OperationDefinitionNode) -> Operation | Reason:
        if not self._compiled:
            return Reason.TURNED_OFF
        if operation.operation is not OperationType.QUERY:
            return Reason.NOT_A_QUERY
        name = operation.name.value if operation.name else None
        made = self._documents.plan(query, name, lambda: _plan_of(self._schema, document, operation))
        return Reason.NOT_PLANNABLE if made is None else made  # of a text that is too long to be kept

    def _judged(self, left: "_Left", result: ExecutionResult, prepared: Prepared) -> Reason:
        if left.outcomes is None or result.errors:
            return left.reason
        log.warning("a plan failed without need", operation=prepared.name, exc_info=left.cause)
        return Reason.PLAN_FAILED

    async def subscribe(
        self, prepared: Prepared, variables: dict[str, Any] | None, new_context: Callable[[], Any]
    ) -> AsyncGenerator[ExecutionResult] | ExecutionResult:
        """A result for each event, or the one that refuses the subscription.

        Each event has a context of its own: what one has loaded is old when the next one comes.
        """
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        executor = Executor.build(
            self._schema,
            prepared.document,
            context_value=new_context(),
            raw_variable_values=variables,
            operation_name=prepared.operation_name,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            return ExecutionResult(data=None, errors=executor)

        def execute_event(of_event: Executor[Any]) -> ExecutionResult | Awaitable[ExecutionResult]:
            of_event.context_value = new_context()
            return execute_subscription_event(of_event)

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


def _plan_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Operation | Reason:
    try:
        return Operation(schema, document, operation)
    except NotPlannable:
        return Reason.NOT_PLANNABLE


async def _by_plan(plan: Operation | Reason, variables: dict[str, Any] | None, context: Any) -> bytes | _Left:
    if isinstance(plan, Reason):
        return _Left(reason=plan)
    try:
        return await plan.request(variables or {}).answer(context)
    except NotPlannable:
        return _Left(reason=Reason.NOT_PLANNABLE)
    except InputRefused:
        return _Left(reason=Reason.INPUT_REFUSED)
    except Failed as error:
        reason = Reason.RESOLVER_RAISED if error.raised else Reason.UNEXPECTED_VALUE
        return _Left(reason=reason, outcomes=error.outcomes, cause=error.__cause__)
