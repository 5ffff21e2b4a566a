"""Bodies of other servers' responses, which may be hostile."""

import httpx


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Return the body of a streamed response. Raises ValueError for one that is compressed or has more than `max_bytes`."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ValueError("The response is compressed: a few of its bytes could stand for many.")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise ValueError(f"The response has more than {max_bytes} bytes.")
    return bytes(body)


async def read_successful_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Return the body as `read_body` does. Raises ValueError for a status other than 200 as well."""
    if response.status_code != httpx.codes.OK:
        raise ValueError(f"The response has the status {response.status_code}.")
    return await read_body(response, max_bytes=max_bytes)
