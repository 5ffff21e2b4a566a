"""Types of the audit log."""

from datetime import datetime

import strawberry

from tiktok_accounts_gql.compiler.lookahead import requires
from tiktok_accounts_gql.db.models import AuditAction, AuditActor, AuditEvent
from tiktok_accounts_gql.execution.cost import costs
from tiktok_accounts_gql.resolvers import audit as audit_resolvers
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.nodes import NODE_ID, BaseConnection, BaseEdge, Node


@strawberry.type(description="One fact about an audit event.")
class AuditDetail:
    name: str = strawberry.field(
        resolver=audit_resolvers.detail_name,
        description="What it is about, such as `status`, `reason` or `followerCount`.",
    )
    value: str | None = strawberry.field(
        resolver=audit_resolvers.detail_value, description="What it is, or has become."
    )
    previous_value: str | None = strawberry.field(
        resolver=audit_resolvers.detail_previous_value, description="What it was, if it changed."
    )


@strawberry.type(name="AuditEvent", description="One thing that happened. It never changes.")
class AuditEventType(Node):
    view_of = AuditEvent

    id: strawberry.ID = strawberry.field(
        resolver=audit_resolvers.event_id, metadata=requires("id"), description=NODE_ID
    )
    action: AuditAction = strawberry.field(description="What happened.")
    created_at: datetime = strawberry.field(description="When it happened.")
    account_id: strawberry.ID | None = strawberry.field(
        resolver=audit_resolvers.event_account_id,
        metadata=requires("account_id"),
        description="The account that it is about, there even when the account is gone.",
    )
    account_username: str | None = strawberry.field(
        description="What the account was called when it happened, there even when the account is gone; null if that was "
        "not known."
    )
    account = strawberry.field(
        resolver=audit_resolvers.event_account,
        metadata=requires("account_id") | costs(values=2),
        graphql_type=TikTokAccount | None,
        description="Null if it was disconnected, or the event is not about one account.",
    )
    actor: AuditActor = strawberry.field(description="Who did it.")
    request_id: str | None = strawberry.field(description="The X-Request-ID under which it happened.")
    ip_address: str | None = strawberry.field(description="From where the user did it; null for every other actor.")
    details: list[AuditDetail] = strawberry.field(
        metadata=costs(size=10), description="Further facts from a fixed list, never a secret, for people to read."
    )


@strawberry.type(description="Audit events, as a place in a list.")
class AuditEventEdge(BaseEdge[AuditEventType]):
    pass


@strawberry.type(description="Audit events, page by page.")
class AuditEventConnection(BaseConnection[AuditEventEdge]):
    pass
