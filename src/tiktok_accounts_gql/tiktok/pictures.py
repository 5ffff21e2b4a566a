"""Pictures from TikTok's content delivery network, which signs its links and lets them expire.

Responses are not trusted: hosts are on a list, redirects are not followed, time and size are bounded, and the media type is
detected from the first bytes. SVG is not accepted, since it can run scripts. Nothing is decompressed: a few bytes could
expand to very many.
"""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Self

import httpx
import structlog

from tiktok_accounts_gql.response_bodies import read_successful_body
from tiktok_accounts_gql.tls import get_ssl_context

MAX_PICTURE_BYTES = 512 * 1024
TIMEOUT_SECONDS = 5.0
UNCOMPRESSED = {"Accept-Encoding": "identity"}
_HOST_NAME = re.compile(r"[a-z0-9.-]+")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture. `source`: its link without the signature, which stays the same for the same picture."""

    media_type: str
    content: bytes = field(repr=False)
    source: str | None = None


class PictureClient:
    """Fetches pictures from `hosts`: names (`*.name` for subdomains), by https only; or whole origins, as of a sandbox."""

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
        """Fetch a picture. Return None if that fails: a sync goes on without a picture."""
        try:
            url = httpx.URL(link)
            if not self._is_allowed(url):
                raise ValueError("the host is not on the list")  # noqa: TRY301
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._http.stream("GET", url, headers=UNCOMPRESSED) as response,
            ):
                content = await read_successful_body(response, max_bytes=MAX_PICTURE_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.info("picture not fetched", reason=str(error) or type(error).__name__)
            return None
        media_type = detect_media_type(content)
        return Picture(media_type=media_type, content=content, source=remove_signature(link)) if media_type else None

    def _is_allowed(self, url: httpx.URL) -> bool:
        origin = f"{url.scheme}://{url.netloc.decode()}"
        if url.userinfo or not _HOST_NAME.fullmatch(url.host):
            return False
        is_plain_https = url.scheme == "https" and url.port is None
        return any(
            origin == allowed if "://" in allowed else is_plain_https and fnmatchcase(url.host, allowed)
            for allowed in self._hosts
        )


def remove_signature(link: str) -> str:
    """Return a link without its query, which holds the signature and its expiry."""
    return link.partition("?")[0]


def detect_media_type(content: bytes) -> str | None:
    """Return the media type by the first bytes (WHATWG MIME Sniffing, section 6.1); None for anything else."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return "image/webp" if content[:4] == b"RIFF" and content[8:14] == b"WEBPVP" else None
