"""Resolvers that the payloads of all mutations share."""

from dataclasses import dataclass

import strawberry

from tiktok_accounts_gql.compiler.internals import list_basic_fields
from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.errors import OperationError, UserErrorCode
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info


class FailedPayload:
    """The payload of a mutation that changed nothing: `error`, and None for each field that has no resolver of its own."""

    def __init__(self, info: Info, error: OperationError) -> None:
        self.error = error
        for name in list_basic_fields(info.return_type):
            setattr(self, name, None)


async def build_failed_payload(info: Info, error: OperationError, account: str | None) -> FailedPayload:
    """Record the refused mutation and return its payload. `account`: the id in the input, if there is one."""
    refusals = [(info.field_name, error.code)]
    audit, viewer = info.context.services.audit, info.context.viewer
    account_id = ids.account_key(account) if account else None
    await audit.record_refusals(viewer, AuditAction.MUTATION_REFUSED, refusals, account_id)
    return FailedPayload(info, error)


def success(root: strawberry.Parent[object]) -> bool:
    return _find_error(root) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserError:
    """An OperationError as data: graphql-core raises every value that is an exception."""

    code: UserErrorCode
    message: str
    field: tuple[str, ...] | None
    retry_after_seconds: int | None


def user_errors(root: strawberry.Parent[object]) -> list[UserError]:
    error = _find_error(root)
    if error is None:
        return []
    seconds = error.retry_after_seconds
    return [UserError(code=error.code, message=error.message, field=error.field, retry_after_seconds=seconds)]


def query(root: strawberry.Parent[object]) -> object:
    """Return any object: the resolvers of Query read nothing but the context."""
    return root


def _find_error(root: object) -> OperationError | None:
    return getattr(root, "error", None)
