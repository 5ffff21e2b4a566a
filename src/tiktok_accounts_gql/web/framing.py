"""Frames of the two streaming protocols: server-sent events, and multipart as Apollo's clients read it.

A single response is framed too if the client accepts only a stream, or it could not read an error.
"""

from starlette.responses import Response

from tiktok_accounts_gql.web.media_types import EVENTS, PARTS

EVENTS_TYPE = f"{EVENTS}; charset=utf-8"
COMPLETE = b"event: complete\ndata:\n\n"  # a browser's EventSource ignores an event without `data`
PARTS_TYPE = f'{PARTS};boundary="graphql";subscriptionSpec="1.0"'
DELIMITER = b"--graphql"


def frame_event(payload: bytes) -> bytes:
    """Return an event `next`. `payload`: JSON in one line."""
    return b"event: next\ndata: " + payload + b"\n\n"


def frame_part(message: bytes) -> bytes:
    """Return a part with the delimiter behind it, by which a client knows that it is complete. `message`: JSON."""
    return b"\r\nContent-Type: application/json\r\n\r\n" + message + b"\r\n" + DELIMITER


def frame_response(response: Response, media_type: str) -> Response:
    """Return the response with its JSON body framed for a streaming media type; any other is left as it is."""
    body = bytes(response.body)
    if media_type == EVENTS:
        return _replace_body(response, EVENTS_TYPE, frame_event(body) + COMPLETE)
    if media_type == PARTS:
        return _replace_body(response, PARTS_TYPE, DELIMITER + frame_part(b'{"payload":' + body + b"}") + b"--\r\n")
    return response


def _replace_body(response: Response, content_type: str, body: bytes) -> Response:
    response.body = body
    response.headers["Content-Type"] = content_type
    response.headers["Content-Length"] = str(len(body))
    return response
