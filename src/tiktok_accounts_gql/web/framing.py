"""Frames of the two protocols for streams: server-sent events, and parts as Apollo's clients take them.

One answer that is no stream gets them too: a refusal has to be read by who awaits a stream.
"""

from starlette.responses import Response

from tiktok_accounts_gql.web.media_types import EVENTS, PARTS

EVENTS_TYPE = f"{EVENTS}; charset=utf-8"
COMPLETE = b"event: complete\ndata:\n\n"  # without `data` a browser's EventSource would not tell of it
PARTS_TYPE = f'{PARTS};boundary="graphql";subscriptionSpec="1.0"'
DELIMITER = b"--graphql"


def next_event(result: bytes) -> bytes:
    """`result`: JSON in one line."""
    return b"event: next\ndata: " + result + b"\n\n"


def next_part(message: bytes) -> bytes:
    """With the delimiter that ends it: a client knows then that the part is whole. `message`: JSON."""
    return b"\r\nContent-Type: application/json\r\n\r\n" + message + b"\r\n" + DELIMITER


def framed(response: Response, media_type: str) -> Response:
    """The same response, whose body is JSON, in its frame. JSON's own types have none."""
    body = bytes(response.body)
    if media_type == EVENTS:
        return _with(response, EVENTS_TYPE, next_event(body) + COMPLETE)
    if media_type == PARTS:
        return _with(response, PARTS_TYPE, DELIMITER + next_part(b'{"payload":' + body + b"}") + b"--\r\n")
    return response


def _with(response: Response, content_type: str, body: bytes) -> Response:
    response.body = body
    response.headers["Content-Type"] = content_type
    response.headers["Content-Length"] = str(len(body))
    return response
