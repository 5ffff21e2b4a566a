"""Bodies of other servers' responses: how much of them is read, and how."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tiktok_accounts_gql.response_bodies import read_body, read_successful_body

MAX_BYTES = 8


async def read(response: httpx.Response, *, successful: bool = False) -> bytes:
    transport = httpx.MockTransport(lambda _: response)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", "https://example.com") as streamed,
    ):
        return await (read_successful_body if successful else read_body)(streamed, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity", " identity "])
async def test_an_uncompressed_body_is_read(encoding: str | None) -> None:
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    assert await read(httpx.Response(503, content=b"12345678", headers=headers)) == b"12345678"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "GZIP", "identity, gzip", "unknown"])
async def test_a_compressed_body_is_refused_before_it_is_read(encoding: str) -> None:
    class Unreadable(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            raise AssertionError("the body was read")

    with pytest.raises(ValueError, match="compressed"):
        await read(httpx.Response(200, stream=Unreadable(), headers={"Content-Encoding": encoding}))


@pytest.mark.parametrize("status", [201, 204, 301, 404, 500])
async def test_a_status_other_than_200_is_refused_where_success_is_needed(status: int) -> None:
    with pytest.raises(ValueError, match=f"status {status}"):
        await read(httpx.Response(status, content=b"1"), successful=True)


async def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 8 bytes"):
        await read(httpx.Response(200, content=b"123456789"))
