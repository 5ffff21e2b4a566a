"""Answers of the server itself, to what never becomes a request of the application's: as the edge's."""

import structlog
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tiktok_accounts_gql.errors import RequestError
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.edge import HEADERS, REQUEST_ID_BYTES

log = structlog.get_logger()


def written(error: RequestError) -> bytes:
    """The whole answer, as bytes, after which the connection ends; one line of log tells of it."""
    request_id = uuid7().hex
    response = answers.refusal(error, request_id, headers={"Connection": "close"})
    headers = [*response.raw_headers, *HEADERS, (REQUEST_ID_BYTES, request_id.encode())]
    log.info("request", status=response.status_code, request_id=request_id, refused=error.message)
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
