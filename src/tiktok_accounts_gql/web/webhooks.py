"""What TikTok posts."""

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.errors import RequestError, Unauthenticated
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.edge import request_id
from tiktok_accounts_gql.web.media_types import JSON
from tiktok_accounts_gql.web.requests import read_body

PATH = "/webhooks/tiktok"
SIGNATURE = "TikTok-Signature"


async def webhook(request: Request) -> Response:
    """200 once it is stored; 401 for a signature that is not TikTok's, or too old."""
    services: Services = request.state.services
    try:
        body = await read_body(request)
        if not services.webhooks.is_genuine(request.headers.get(SIGNATURE), body):
            raise Unauthenticated("The signature is not TikTok's, or too old.")
        await services.webhooks.receive(body)
    except RequestError as error:
        return answers.refusal(error, request_id(request))
    return answers.respond({}, 200, JSON)
