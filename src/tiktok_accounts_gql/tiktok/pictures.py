"""Pictures from TikTok's content delivery network, which signs its links and lets them expire.

What comes is not believed: hosts are on a list, redirects are not followed, time and size are bounded, and the kind of
picture is what its first bytes say. SVG is none of the kinds, since it can run scripts. Nothing is unpacked on the way: a
few bytes could stand for many.
"""

import asyncio
import re
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Self

import httpx
import structlog

from tiktok_accounts_gql.tls import get_ssl_context

MAX_PICTURE_BYTES = 512 * 1024
TIMEOUT_SECONDS = 5.0
_HOST_NAME = re.compile(r"[a-z0-9.-]+")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`source` is the link without its signature: the same picture keeps it."""

    media_type: str
    content: bytes = field(repr=False)
    source: str | None = None


class PictureClient:
    """`hosts`: names (`*.name` for subdomains), from which https is a must; or whole origins such as of a sandbox."""

    def __init__(self, http: httpx.AsyncClient, *, hosts: Collection[str]) -> None:
        self._http = http
        self._hosts = tuple(hosts)

    @classmethod
    def open(cls, *, hosts: Collection[str]) -> Self:
        return cls(
            httpx.AsyncClient(verify=get_ssl_context(), timeout=TIMEOUT_SECONDS, follow_redirects=False), hosts=hosts
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def fetch(self, link: str) -> Picture | None:
        """None if it cannot be had: a picture is never worth a failure."""
        try:
            url = httpx.URL(link)
            if not self._is_allowed(url):
                raise ValueError("its host is not on the list")  # noqa: TRY301
            async with asyncio.timeout(TIMEOUT_SECONDS), self._stream(url) as response:
                content = await _content(response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.info("picture not fetched", reason=str(error) or type(error).__name__)
            return None
        media_type = kind_of(content)
        return Picture(media_type=media_type, content=content, source=source_of(link)) if media_type else None

    def _stream(self, url: httpx.URL) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream("GET", url, headers={"Accept-Encoding": "identity"})

    def _is_allowed(self, url: httpx.URL) -> bool:
        origin = f"{url.scheme}://{url.netloc.decode()}"
        if url.userinfo or not _HOST_NAME.fullmatch(url.host):
            return False
        named = url.scheme == "https" and url.port is None
        return any(
            origin == allowed if "://" in allowed else named and fnmatchcase(url.host, allowed)
            for allowed in self._hosts
        )


def source_of(link: str) -> str:
    """A link without its query, where the signature is."""
    return link.partition("?")[0]


def kind_of(content: bytes) -> str | None:
    """The media type by the first bytes (WHATWG MIME Sniffing, section 6.1); None for anything else."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return "image/webp" if content[:4] == b"RIFF" and content[8:14] == b"WEBPVP" else None


async def _content(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ValueError(f"the answer has the status {response.status_code}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("the answer is compressed")
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_PICTURE_BYTES:
            raise ValueError(f"it has more than {MAX_PICTURE_BYTES} bytes")
    return bytes(content)
