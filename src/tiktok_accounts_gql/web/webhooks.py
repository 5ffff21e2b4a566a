"""Receives TikTok's webhooks."""

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.errors import RequestError, Unauthenticated
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.graphql_requests import read_body
from tiktok_accounts_gql.web.media_types import JSON
from tiktok_accounts_gql.web.middleware import request_id

PATH = "/webhooks/tiktok"
SIGNATURE = "TikTok-Signature"


async def webhook(request: Request) -> Response:
    """Store a webhook. Respond with 401 if the signature is not TikTok's, or too old."""
    services: Services = request.state.services
    try:
        body = await read_body(request)
        if not services.webhooks.is_genuine(request.headers.get(SIGNATURE), body):
            raise Unauthenticated("The signature is not TikTok's, or too old.")
        await services.webhooks.receive(body)
    except RequestError as error:
        return responses.error_response(error, request_id(request))
    return responses.json_response({}, 200, JSON)
