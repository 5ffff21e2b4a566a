"""Probes for load balancers and orchestrators."""

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated, check_migrated
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.media_types import JSON


async def livez(request: Request) -> Response:
    """Respond as long as the process runs."""
    del request
    return responses.json_response({"status": "ok"}, 200, JSON)


async def readyz(request: Request) -> Response:
    """Respond with 200 if the database can be reached and has the schema of this version, otherwise with 503."""
    db: Database = request.state.db
    try:
        await check_migrated(db)
    except (ServiceUnavailable, NotMigrated) as error:
        return responses.json_response({"status": "unavailable", "reason": str(error)}, 503, JSON)
    return responses.json_response({"status": "ok"}, 200, JSON)
