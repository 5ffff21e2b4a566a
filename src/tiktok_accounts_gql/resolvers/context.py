"""The context of every resolver."""

from dataclasses import dataclass

import strawberry

from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The context of one operation. `cost`: that of the operation, in points."""

    viewer: Viewer
    services: Services
    loaders: Loaders
    cost: int = 0


Info = strawberry.Info[Context, None]
