"""Options of TCP connections."""

import asyncio
from socket import AF_UNIX, IPPROTO_TCP, TCP_NODELAY


def disable_nagle(transport: asyncio.BaseTransport) -> None:
    """Set TCP_NODELAY: head and body of a response are two writes.

    With Nagle's algorithm the second waits for the acknowledgement of the first, which a client delays by 40 ms. asyncio
    disables it only for sockets created with IPPROTO_TCP, and uvicorn's own listening sockets are not.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != AF_UNIX:
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
