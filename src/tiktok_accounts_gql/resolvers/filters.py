"""Inputs that filter and order lists."""

from datetime import datetime

import strawberry

from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.audit import AuditEventFilter
from tiktok_accounts_gql.db.models import AccountStatus, AuditAction, HealthAction, HealthState, JobState, SyncOutcome
from tiktok_accounts_gql.db.sync_jobs import JobFilter, ResultFilter
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.enums import OrderDirection
from tiktok_accounts_gql.services.accounts import AccountOrder

MAX_SEARCH_LENGTH = 100
_CONDITIONS = "Conditions that all have to hold. An empty list is no condition."
_ANY = "Any of these."


@strawberry.input(name="AccountFilter", description=_CONDITIONS)
class AccountFilterInput:
    status: list[AccountStatus] | None = strawberry.field(default=None, description=_ANY)
    health: list[HealthState] | None = strawberry.field(default=None, description="Any of these states.")
    action: list[HealthAction] | None = strawberry.field(
        default=None, description="Any of these actions, such as RECONNECT."
    )
    search: str | None = strawberry.field(
        default=None,
        description=f"Part of the username or display name, in any case, with or without its accents and the leading @. "
        f"{MAX_SEARCH_LENGTH} characters at most; %, _ and the backslash stand for themselves.",
    )

    def to_filter(self) -> AccountFilter:
        """Return the filter of the service. Raises BadUserInput for a search text that is too long."""
        if len(self.search or "") > MAX_SEARCH_LENGTH:
            raise BadUserInput(f"`search` has {MAX_SEARCH_LENGTH} characters at most.")
        return AccountFilter(
            statuses=tuple(self.status or ()),
            health=tuple(self.health or ()),
            actions=tuple(self.action or ()),
            search=self.search or "",
        )


@strawberry.input(
    name="AccountOrder",
    description="How a list of accounts is ordered. Equal values are ordered by id; accounts without a value come last "
    "in both directions.",
)
class AccountOrderInput:
    field: AccountOrderField = strawberry.field(default=AccountOrderField.CREATED_AT, description="By what.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="Which way.")

    def to_order(self) -> AccountOrder:
        return AccountOrder(field=self.field, descending=self.direction is OrderDirection.DESC)


@strawberry.input(name="AuditEventFilter", description=_CONDITIONS)
class AuditEventFilterInput:
    action: list[AuditAction] | None = strawberry.field(default=None, description=_ANY)
    changes_only: bool = strawberry.field(default=False, description="Leaves out everything that only reads.")
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events about this account, a disconnected one too."
    )
    from_: datetime | None = strawberry.field(name="from", default=None, description="Inclusive.")
    to: datetime | None = strawberry.field(default=None, description="Exclusive.")

    def to_filter(self) -> AuditEventFilter:
        return AuditEventFilter(
            actions=tuple(self.action or ()),
            changes_only=self.changes_only,
            account_id=ids.account_key(self.account_id) if self.account_id else None,
            start=self.from_,
            end=self.to,
        )


@strawberry.input(name="SyncJobFilter", description=_CONDITIONS)
class SyncJobFilterInput:
    state: list[JobState] | None = strawberry.field(default=None, description=_ANY)

    def to_filter(self) -> JobFilter:
        return JobFilter(states=tuple(self.state or ()))


@strawberry.input(name="SyncResultFilter", description=_CONDITIONS)
class SyncResultFilterInput:
    outcome: list[SyncOutcome] | None = strawberry.field(default=None, description=_ANY)

    def to_filter(self) -> ResultFilter:
        return ResultFilter(outcomes=tuple(self.outcome or ()))
