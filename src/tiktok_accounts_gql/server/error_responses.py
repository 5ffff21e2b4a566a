"""Responses to what never becomes a request of the application, in the same form as the application's."""

import structlog
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tiktok_accounts_gql.errors import RequestError
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.middleware import HEADERS, REQUEST_ID_BYTES

log = structlog.get_logger()


def encode_error_response(error: RequestError) -> bytes:
    """Return a whole HTTP/1.1 response, after which the connection is closed, and log it."""
    request_id = uuid7().hex
    response = responses.error_response(error, request_id, headers={"Connection": "close"})
    headers = [*response.raw_headers, *HEADERS, (REQUEST_ID_BYTES, request_id.encode())]
    log.info("request", status=response.status_code, request_id=request_id, refused=error.message)
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
