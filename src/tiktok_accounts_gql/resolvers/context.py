"""What every resolver is given."""

from dataclasses import dataclass

import strawberry

from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request's: who asks, what does the work, and what was loaded so far."""

    viewer: Viewer
    services: Services
    loaders: Loaders


Info = strawberry.Info[Context, None]
