"""Scalars of the contract, as JSON has them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

from tiktok_accounts_gql.compiler.internals import ScalarDefinition
from tiktok_accounts_gql.compiler.result_coercion import Passthrough

BigInt = NewType("BigInt", int)

LARGEST = 2**53 - 1  # what a JavaScript number holds exactly (RFC 8259, section 6)


def _big_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -LARGEST <= value <= LARGEST:
        raise GraphQLError("BigInt is a whole number from -(2^53 - 1) to 2^53 - 1.")
    return value


def _print_time(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise GraphQLError("DateTime is a point in time with a time zone.")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo is not None else _refuse()
    except (TypeError, ValueError, OverflowError):
        return _refuse()


def _refuse() -> datetime:
    raise GraphQLError("DateTime is a point in time with an offset, such as 2026-11-24T09:00:00Z (RFC 3339).")


def scalars() -> Mapping[object, ScalarDefinition]:
    """Python type -> scalar."""
    return {
        BigInt: strawberry.scalar(
            name="BigInt",
            description="A whole number from -(2^53 - 1) to 2^53 - 1, sent as a JSON number. Counters on TikTok outgrow "
            "the 32 bits of Int.",
            serialize=_big_int,
            parse_value=_big_int,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="A point in time, RFC 3339. Answers are in UTC and end in `Z`; inputs may carry any offset, but "
            "must carry one.",
            serialize=_print_time,
            parse_value=_parse_time,
        ),
    }


# By name of the scalar: values that need not go through the functions above.
PASSTHROUGHS: Mapping[str, Passthrough] = {
    "BigInt": Passthrough(kind=int, condition=f"{-LARGEST} <= {{value}} <= {LARGEST}"),
    "DateTime": Passthrough(kind=datetime, condition="{value}.tzinfo is UTC", names={"UTC": UTC}),
}
