"""The errors that a mutation returns."""

import strawberry

from tiktok_accounts_gql.error_catalog import USER_ERRORS
from tiktok_accounts_gql.errors import UserErrorCode
from tiktok_accounts_gql.resolvers.enums import describe

describe(
    UserErrorCode,
    "Why something was not done. More codes may come: treat an unknown one by its message.",
    {code.name: entry.meaning for code, entry in USER_ERRORS.items()},
)


@strawberry.type(name="UserError", description="A failure that the user, or the client's author, can act on.")
class UserErrorType:
    code: UserErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="An English sentence for people. It may change: never compare it.")
    field: list[str] | None = strawberry.field(
        description='Path to the input that caused it, such as ["input", "id"]; null if no input did.'
    )
    retry_after_seconds: int | None = strawberry.field(
        description="Seconds after which another try makes sense; null if none does."
    )
