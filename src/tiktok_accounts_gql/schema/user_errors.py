"""What the user can mend."""

import strawberry

from tiktok_accounts_gql.errors import UserErrorCode
from tiktok_accounts_gql.resolvers.enums import describe

describe(
    UserErrorCode,
    "Why something was not done. More codes may come: treat an unknown one by its message.",
    {
        "NOT_FOUND": "There is no such object, it was disconnected, or it belongs to somebody else.",
        "TOO_MANY_IDS": "More ids than allowed, or more accounts than a job may have.",
        "JOB_FINISHED": "The job has ended: there is nothing to cancel.",
        "LIMIT_REACHED": "As much is under way already as one user may have: unfinished jobs, their accounts, or "
        "authorizations that were started within a minute.",
        "INVALID_INPUT": "An input breaks a rule in its description; `field` says which.",
        "AUTHORIZATION_STATE_INVALID": "`state` is unknown, was used, or belongs to another user or "
        "another browser: start again.",
        "AUTHORIZATION_STATE_EXPIRED": "Too long ago: start again.",
        "AUTHORIZATION_DENIED": "The user said no at TikTok.",
        "WRONG_TIKTOK_ACCOUNT": "The user signed in at TikTok with another account than the one to reconnect.",
        "ACCOUNT_CONNECTED_ELSEWHERE": "Another user of this API has connected this TikTok account.",
        "AUTHORIZATION_CODE_INVALID": "TikTok refuses the code: start again.",
        "REAUTHORIZATION_REQUIRED": "TikTok no longer accepts this account's authorization: reconnect.",
        "SCOPE_MISSING": "The user did not grant what this needs.",
        "SYNC_FAILED": "It could not be read, for none of the other reasons. A sync job has no top-level errors: its "
        "unexpected failures show as this.",
        "TIKTOK_RATE_LIMITED": "TikTok asks for fewer requests, or too many wait for it here; `retryAfterSeconds` says when.",
        "TIKTOK_UNAVAILABLE": "TikTok does not answer, or not as documented.",
        "APP_MISCONFIGURED": "TikTok refuses this server's own credentials or requests: contact its operator.",
        "IDEMPOTENCY_KEY_REUSED": "This `idempotencyKey` came with another input before.",
    },
)


@strawberry.type(description="A failure that the user, or the client's author, can act on.")
class UserError:
    code: UserErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="An English sentence for people. It may change: never compare it.")
    field: list[str] | None = strawberry.field(
        description='Path to the input that caused it, such as ["input", "id"]; null if no input did.'
    )
    retry_after_seconds: int | None = strawberry.field(
        description="Seconds after which another try makes sense; null if none does."
    )
