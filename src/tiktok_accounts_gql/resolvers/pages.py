"""Arguments of every list: which page of it."""

from typing import Annotated

import strawberry

First = Annotated[
    int | None,
    strawberry.argument(
        description="From 0 to 50. 20 if neither `first` nor `last` is given; both together are an error."
    ),
]
After = Annotated[
    str | None, strawberry.argument(description="Only what comes after this cursor. An empty one is none.")
]
Last = Annotated[int | None, strawberry.argument(description="From 0 to 50, counted from the end.")]
Before = Annotated[
    str | None, strawberry.argument(description="Only what comes before this cursor. An empty one is none.")
]
