"""What all payloads have in common."""

from dataclasses import dataclass
from uuid import UUID

import strawberry

from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.errors import BadUserInput, OperationError, UserErrorCode
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A mutation that did nothing: every field but `userErrors` is empty."""

    error: OperationError
    account: None = None
    synced_at: None = None
    disconnected_account_id: None = None
    authorization_url: None = None
    expires_at: None = None
    reconnected: None = None
    job: None = None


async def refuse(info: Info, mistake: OperationError, account: str | None) -> Refused:
    """`account`: the id that the mutation was about, if it was given one."""
    refused = [(info.field_name, mistake.code)]
    audit, viewer = info.context.services.audit, info.context.viewer
    await audit.record_refusals(viewer, AuditAction.MUTATION_REFUSED, refused, _account_key(account))
    return Refused(error=mistake)


def _account_key(account: str | None) -> UUID | None:
    try:
        return ids.account_key(account) if account else None
    except BadUserInput:
        return None


def success(root: strawberry.Parent[object]) -> bool:
    return _error(root) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserError:
    """A OperationError as data: graphql-core raises every exception that it meets as a value."""

    code: UserErrorCode
    message: str
    field: tuple[str, ...] | None
    retry_after_seconds: int | None


def user_errors(root: strawberry.Parent[object]) -> list[UserError]:
    error = _error(root)
    if error is None:
        return []
    seconds = error.retry_after_seconds
    return [UserError(code=error.code, message=error.message, field=error.field, retry_after_seconds=seconds)]


def query(root: strawberry.Parent[object]) -> object:
    """Queries need nothing but the context."""
    return root


def _error(root: object) -> OperationError | None:
    return getattr(root, "error", None)
