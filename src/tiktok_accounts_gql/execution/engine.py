"""Executes GraphQL documents: checked once by their text, executed by graphql-core."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

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

from tiktok_accounts_gql.execution.limits import Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document with the operation to execute, or the errors that refuse it."""

    document: DocumentNode | None
    errors: list[GraphQLError] | None
    operation: OperationDefinitionNode | None
    operation_name: str | None

    @property
    def kind(self) -> OperationType | None:
        return self.operation.operation if self.operation else None

    @property
    def name(self) -> str | None:
        """The operation's own name."""
        return self.operation.name.value if self.operation and self.operation.name else None


class Engine:
    """Knows GraphQL, and nothing of what the schema is about."""

    def __init__(self, schema: GraphQLSchema, documents: Documents, *, hide_suggestions: bool) -> None:
        self._schema = schema
        self._documents = documents
        self._hide_suggestions = hide_suggestions

    def prepare(self, query: str, operation_name: str | None) -> Prepared:
        """Parses, checks and validates, or remembers having done so. Runs no resolver."""
        found = self._documents.get(query)
        if isinstance(found, DocumentNode):
            operation = get_operation_ast(found, operation_name)
            return Prepared(document=found, errors=None, operation=operation, operation_name=operation_name)
        return Prepared(document=None, errors=found, operation=None, operation_name=operation_name)

    async def execute(self, prepared: Prepared, variables: dict[str, Any] | None, context: Any) -> ExecutionResult:
        if prepared.document is None:
            return ExecutionResult(data=None, errors=prepared.errors)
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=variables,
            operation_name=prepared.operation_name,
            hide_suggestions=self._hide_suggestions,
        )
        return await result if isawaitable(result) else result

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
