"""The types of Relay's specifications, and the viewer."""

from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import strawberry
from graphql import GraphQLResolveInfo

from tiktok_accounts_gql.execution.cost import MAX_POINTS, VALUES_PER_POINT, costs
from tiktok_accounts_gql.resolvers import nodes as node_resolvers
from tiktok_accounts_gql.resolvers.list_sizes import page_size
from tiktok_accounts_gql.services.viewer import Viewer

STATEMENT = costs(values=VALUES_PER_POINT)  # of a field that executes a statement for each object
COUNTED = costs(values=25)
PAGE = costs(values=VALUES_PER_POINT, size=page_size)

NODE_ID = "Opaque and globally unique. It never changes and is never used again."
TOTAL_COUNT = "How many there are over all pages, with the filter. Counted only if asked for."

AnyNode = TypeVar("AnyNode", bound="Node")
AnyEdge = TypeVar("AnyEdge", bound="BaseEdge[Any]")


@strawberry.interface(description="An object with a globally unique id.")
class Node:
    view_of: ClassVar[type | tuple[type, ...]]

    id: strawberry.ID = strawberry.field(description=NODE_ID)

    @classmethod
    def is_type_of(cls, obj: object, info: GraphQLResolveInfo[Any]) -> bool:
        """Return whether an object is a row of this type: resolvers return rows, never instances of the type."""
        del info
        return isinstance(obj, cls.view_of)


@strawberry.type(name="PageInfo", description="Where a page stands in the whole, as in Relay's specification.")
class PageInfoType:
    has_next_page: bool = strawberry.field(description="Whether there is more after `endCursor`.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before `startCursor`.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null on an empty page.")


# Each list has an edge type and a connection type of its own, which are subclasses of these.
@strawberry.type
class BaseEdge(Generic[AnyNode]):
    cursor: str = strawberry.field(
        description="Opaque. It stays the same between requests, and belongs to the ordering that it came with."
    )
    node: AnyNode = strawberry.field(description="The object itself.")


@strawberry.type
class BaseConnection(Generic[AnyEdge]):
    edges: list[AnyEdge] = strawberry.field(description="One edge for each object on this page.")
    page_info: PageInfoType = strawberry.field(description="Where this page stands in the whole.")


@strawberry.type(
    description="The signed-in user's budget of cost points, over all servers. Every operation costs what its answer can hold at "
    f"most: {VALUES_PER_POINT} values are a point, and one operation costs {MAX_POINTS} points at most (LIMIT_EXCEEDED). An "
    "answer says what its operation cost in `extensions.cost`. Who has spent everything gets RATE_LIMITED, with "
    "`extensions.retryAfterSeconds`."
)
class RateLimit:
    limit: int = strawberry.field(description="Points in a full budget; 0 if this server sets no limit.")
    cost: int = strawberry.field(description="What this operation costs.")
    remaining: int = strawberry.field(description="Points that are left after it; 0 if there is no limit.")
    reset_at: datetime = strawberry.field(description="When the budget is full again if nothing more is spent.")


@strawberry.type(name="Viewer", description="The signed-in user.")
class ViewerType(Node):
    view_of = Viewer

    id: strawberry.ID = strawberry.field(resolver=node_resolvers.viewer_id, description=NODE_ID)
    user_id: str = strawberry.field(
        resolver=node_resolvers.viewer_user_id, description="The subject of the access token."
    )
