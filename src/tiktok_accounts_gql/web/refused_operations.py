"""Records audit events of refused operations."""

from collections.abc import Iterator

from graphql import ExecutionResult, FieldNode, GraphQLError, OperationType

from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.errors import RequestError, ServiceUnavailable
from tiktok_accounts_gql.execution.engine import PreparedOperation
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.responses import get_cause


async def record_refusals(prepared: PreparedOperation, result: ExecutionResult, caller: Caller) -> None:
    """Record an event for each root field whose resolver raised a RequestError. Raises ServiceUnavailable.

    A document that does not fit the schema has no event, because nothing was executed; an unexpected failure is in the log.
    """
    refusals = list(_list_refusals(result.errors or []))
    if refusals:
        is_mutation = prepared.kind is OperationType.MUTATION
        action = AuditAction.MUTATION_REFUSED if is_mutation else AuditAction.QUERY_REFUSED
        await caller.services.audit.record_refusals(caller.viewer, action, refusals)


def _list_refusals(errors: list[GraphQLError]) -> Iterator[tuple[str, str]]:
    """Yield the name of each refused root field and the error's code."""
    for error in errors:
        cause, node = get_cause(error), error.nodes[0] if error.nodes else None
        if len(error.path or ()) != 1 or not isinstance(node, FieldNode):
            continue
        if isinstance(cause, RequestError) and not isinstance(cause, ServiceUnavailable):
            yield node.name.value, cause.code
