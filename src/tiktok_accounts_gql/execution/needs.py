"""What the selection set of a root field needs: so that its resolver can load that, and nothing else, ahead."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Needs:
    """`attributes`: of the rows below the field; None if that is not known. `fields`: selected right below it."""

    attributes: frozenset[str] | None
    fields: frozenset[str]


UNKNOWN = Needs(None, frozenset())


def needs_of(info: Any) -> Needs:
    """UNKNOWN while graphql-core executes. It never changes the answer, only what is loaded ahead."""
    del info
    return UNKNOWN
