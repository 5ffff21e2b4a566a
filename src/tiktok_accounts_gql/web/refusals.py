"""Operations that were refused as a whole leave an event too."""

from collections.abc import Iterator

from graphql import ExecutionResult, FieldNode, GraphQLError, OperationType

from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.errors import RequestError, ServiceUnavailable
from tiktok_accounts_gql.execution.engine import PreparedOperation
from tiktok_accounts_gql.web.answers import cause_of
from tiktok_accounts_gql.web.caller import Caller


async def record_refusals(prepared: PreparedOperation, result: ExecutionResult, caller: Caller) -> None:
    """An event for each root field whose resolver raised a RequestError. Raises ServiceUnavailable.

    What the schema refuses never began, and an unexpected failure is in the log.
    """
    refused = list(_refused(result.errors or []))
    if refused:
        changes = prepared.kind is OperationType.MUTATION
        action = AuditAction.MUTATION_REFUSED if changes else AuditAction.QUERY_REFUSED
        await caller.services.audit.record_refusals(caller.viewer, action, refused)


def _refused(errors: list[GraphQLError]) -> Iterator[tuple[str, str]]:
    for error in errors:
        cause, node = cause_of(error), error.nodes[0] if error.nodes else None
        if len(error.path or ()) != 1 or not isinstance(node, FieldNode):
            continue
        if isinstance(cause, RequestError) and not isinstance(cause, ServiceUnavailable):
            yield node.name.value, cause.code
