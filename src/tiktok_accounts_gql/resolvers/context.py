"""What every resolver is given."""

from dataclasses import dataclass

import strawberry

from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request's: who asks, what does the work, what was loaded so far, and what the operation costs in points."""

    viewer: Viewer
    services: Services
    loaders: Loaders
    cost: int = 0


Info = strawberry.Info[Context, None]
