"""The paging arguments of every list."""

from typing import Annotated

import strawberry

from tiktok_accounts_gql.pagination import DEFAULT_SIZE, MAX_SIZE

First = Annotated[
    int | None,
    strawberry.argument(
        description=f"From 0 to {MAX_SIZE}. {DEFAULT_SIZE} if neither `first` nor `last` is given; both together are an error."
    ),
]
After = Annotated[
    str | None, strawberry.argument(description="Only what comes after this cursor. An empty one is none.")
]
Last = Annotated[int | None, strawberry.argument(description=f"From 0 to {MAX_SIZE}, counted from the end.")]
Before = Annotated[
    str | None, strawberry.argument(description="Only what comes before this cursor. An empty one is none.")
]
