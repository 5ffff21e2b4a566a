"""Whether the process lives, and whether it can do its work."""

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated, check_migrated
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.media_types import JSON


async def livez(request: Request) -> Response:
    """The process answers."""
    del request
    return answers.respond({"status": "ok"}, 200, JSON)


async def readyz(request: Request) -> Response:
    """The database answers and has the tables of this version."""
    db: Database = request.state.db
    try:
        await check_migrated(db)
    except (ServiceUnavailable, NotMigrated) as error:
        return answers.respond({"status": "unavailable", "reason": str(error)}, 503, JSON)
    return answers.respond({"status": "ok"}, 200, JSON)
