"""Limits of HTTP connections."""

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tiktok_accounts_gql.web.graphql_requests import MAX_BODY_BYTES

MAX_DISCARDED_BYTES = 1024 * 1024  # of a body that is too large: it is read so far, for the client to read the response
MAX_PIPELINED = 16
MAX_CHUNKS = 4096
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
# Longer than clients and load balancers keep an idle connection (5 to 60 s), so that they close it first: a request fails if it
# is sent while the server closes.
KEEP_ALIVE_SECONDS = 75.0
PROBE_SECONDS = 2.0
STOP_SECONDS = 0.3  # for requests that are on their way when the server stops
LINGER_SECONDS = 1.0
LINGER_BYTES = 256 * 1024


def is_announced_too_large(cycle: RequestResponseCycle) -> bool:
    """Return whether a client that waits for "100 Continue" wants to send more than is accepted."""
    if not cycle.waiting_for_100_continue:
        return False
    return any(name == b"content-length" and int(value) > MAX_BODY_BYTES for name, value in cycle.scope["headers"])
