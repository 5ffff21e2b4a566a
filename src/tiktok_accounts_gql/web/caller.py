"""Authenticates requests and WebSockets."""

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from tiktok_accounts_gql.db.models import AuditActor
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.middleware import add_log_field, client_address, request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The authenticated sender of a request. `valid_until`: until when this server accepts the token."""

    viewer: Viewer
    valid_until: datetime
    request_id: str
    services: Services

    def new_context(self, cost: int) -> Context:
        """Return the context of an operation that costs so many points."""
        loaders = Loaders(self.viewer, self.services)
        return Context(viewer=self.viewer, services=self.services, loaders=loaders, cost=cost)

    @property
    def seconds_left(self) -> float:
        return max(0.0, (self.valid_until - datetime.now(UTC)).total_seconds())


async def authenticate_caller(connection: HTTPConnection, authorization: str | None) -> Caller:
    """Verify the value of an Authorization header, or its equivalent. Raises Unauthenticated and ServiceUnavailable."""
    state = connection.scope["state"]
    authenticator: Authenticator = state["authenticator"]
    identity = await authenticator.identify(authorization)
    add_log_field(connection, "viewer", identity.viewer_id)
    viewer = Viewer(
        id=identity.viewer_id,
        actor=AuditActor.USER,
        request_id=request_id(connection),
        ip_address=client_address(connection),
        name=identity.name,
    )
    valid_until, services = identity.valid_until, state["services"]
    return Caller(viewer=viewer, valid_until=valid_until, request_id=request_id(connection), services=services)
