"""Reference pages made from the code: `docs/configuration.md` and `docs/errors.md`. Tests compare them."""

from datetime import timedelta

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tiktok_accounts_gql.error_catalog import ERRORS, USER_ERRORS
from tiktok_accounts_gql.errors import ErrorCode, UserErrorCode
from tiktok_accounts_gql.settings import PREFIX, Settings

_CONFIGURATION = f"""# Configuration

Every setting is an environment variable with the prefix `{PREFIX}`, or a line of a file `.env` in the working folder.
They are read once, at the start; one that is missing or weak stops it and is named. Made from the code by `make docs`.

| variable | default | meaning |
|---|---|---|
"""

_ERRORS = """# Errors

Two kinds, both closed lists. Compare codes, never messages. Made from the code by `make docs`.

## `userErrors` of a payload: what the user can fix

Every mutation answers with `userErrors {{ code message field retryAfterSeconds }}`, empty if nothing went wrong.

| code | meaning | try again? |
|---|---|---|
{user_rows}
## `extensions.code` of top-level errors: what the client or the server got wrong

Each has `extensions.requestId`, the `X-Request-ID` of the answer; INTERNAL_SERVER_ERROR also has `extensions.errorId`,
under which the server's log has the cause. The status is that of answers without `data` under
`application/graphql-response+json`; under `application/json` a document that the schema refuses is answered with 200, as
the GraphQL-over-HTTP specification has it. An error of one field among others comes with `data` and status 200.

| code | status | meaning | try again? |
|---|---|---|---|
{request_rows}"""


def build_configuration_page() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        description = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{PREFIX}{name.upper()}` | {_format_default(field)} | {description} |\n")
    return _CONFIGURATION + "".join(rows)


def build_errors_page() -> str:
    """Build the page. Raises KeyError for a code without a description."""
    user_rows = [f"| `{code}` | {USER_ERRORS[code].meaning} | {USER_ERRORS[code].retry} |\n" for code in UserErrorCode]
    request_rows = [
        f"| `{code}` | {ERRORS[code].status} | {ERRORS[code].meaning} | {ERRORS[code].retry} |\n" for code in ErrorCode
    ]
    return _ERRORS.format(user_rows="".join(user_rows), request_rows="".join(request_rows))


def _format_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, timedelta):
        return f"`{field.default // timedelta(hours=1)}h`"
    value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{value}`"
