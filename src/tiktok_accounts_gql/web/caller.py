"""Who asks, by whichever way."""

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from tiktok_accounts_gql.db.models import AuditActor
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.edge import annotate, client_address, request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and until when this server listens to the token that says so."""

    viewer: Viewer
    good_until: datetime
    request_id: str
    services: Services

    def new_context(self, cost: int) -> Context:
        """`cost`: of the operation, in points."""
        loaders = Loaders(self.viewer, self.services)
        return Context(viewer=self.viewer, services=self.services, loaders=loaders, cost=cost)

    @property
    def seconds_left(self) -> float:
        return max(0.0, (self.good_until - datetime.now(UTC)).total_seconds())


async def identify(connection: HTTPConnection, authorization: str | None) -> Caller:
    """From an Authorization header, or what stands for it. Raises Unauthenticated and ServiceUnavailable."""
    state = connection.scope["state"]
    authenticator: Authenticator = state["authenticator"]
    identity = await authenticator.identify(authorization)
    annotate(connection, "viewer", identity.viewer_id)
    own, address = request_id(connection), client_address(connection)
    viewer = Viewer(
        id=identity.viewer_id, actor=AuditActor.USER, request_id=own, ip_address=address, name=identity.name
    )
    return Caller(viewer=viewer, good_until=identity.good_until, request_id=own, services=state["services"])
