"""The scalars of the schema."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

from tiktok_accounts_gql.compiler.internals import ScalarDefinition
from tiktok_accounts_gql.compiler.result_coercion import Passthrough

BigInt = NewType("BigInt", int)

MAX_SAFE_INTEGER = 2**53 - 1  # the largest that a JavaScript number holds exactly (RFC 8259, section 6)


def _check_big_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise GraphQLError("BigInt is a whole number from -(2^53 - 1) to 2^53 - 1.")
    return value


def _format_time(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise GraphQLError("DateTime is a point in time with a time zone.")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(value: Any) -> datetime:
    error = GraphQLError("DateTime is a point in time with an offset, such as 2026-11-24T09:00:00Z (RFC 3339).")
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise error
        return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise error from None


def create_scalars() -> Mapping[object, ScalarDefinition]:
    """Return the scalars by their Python type."""
    return {
        BigInt: strawberry.scalar(
            name="BigInt",
            description="A whole number from -(2^53 - 1) to 2^53 - 1, sent as a JSON number. Counters on TikTok outgrow "
            "the 32 bits of Int.",
            serialize=_check_big_int,
            parse_value=_check_big_int,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="A point in time, RFC 3339. Answers are in UTC and end in `Z`; inputs may carry any offset, but "
            "must carry one.",
            serialize=_format_time,
            parse_value=_parse_time,
        ),
    }


# By the name of the scalar: values that can be serialized without the functions above.
PASSTHROUGHS: Mapping[str, Passthrough] = {
    "BigInt": Passthrough(kind=int, condition=f"{-MAX_SAFE_INTEGER} <= {{value}} <= {MAX_SAFE_INTEGER}"),
    "DateTime": Passthrough(kind=datetime, condition="{value}.tzinfo is UTC", names={"UTC": UTC}),
}
