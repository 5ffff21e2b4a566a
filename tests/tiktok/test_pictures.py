"""Pictures from TikTok's network: what is fetched and accepted, and what is drawn where there is none."""

import asyncio
import gzip
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tiktok_accounts_gql.services.avatars import COLOURS, draw_initials
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.pictures import (
    MAX_PICTURE_BYTES,
    Picture,
    PictureClient,
    detect_media_type,
    remove_signature,
)

LINK = "https://p16-sign.tiktokcdn-us.com/tos/abc~c5_168x168.jpeg?x-expires=1&x-signature=s"
HOSTS = ("*.tiktokcdn.com", "*.tiktokcdn-us.com", "http://127.0.0.1:8001")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100)
PICTURES = {
    "image/jpeg": JPEG,
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "image/gif": b"GIF89a" + bytes(20),
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(20),
}


class Network:
    """A network that answers all requests alike, and records them."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)

    async def fetch(self, link: str, *, hosts: tuple[str, ...] = HOSTS) -> Picture | None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle), follow_redirects=False)
        client = PictureClient(http, hosts=hosts)
        try:
            return await client.fetch(link)
        finally:
            await client.aclose()


def respond_with(content: Any = JPEG, status: int = 200, **headers: str) -> Network:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Network(lambda request: httpx.Response(status, content=content, headers=sent))


async def test_a_picture_comes_with_its_kind_and_where_it_is_from() -> None:
    network = respond_with()
    picture = await network.fetch(LINK)
    assert picture == Picture(media_type="image/jpeg", content=JPEG, source=LINK.partition("?")[0])
    assert [str(request.url) for request in network.requests] == [LINK]
    assert "authorization" not in network.requests[0].headers


@pytest.mark.parametrize(("media_type", "content"), PICTURES.items())
@pytest.mark.parametrize("header", ["text/html", "image/svg+xml", "application/octet-stream", ""])
async def test_the_media_type_is_that_of_the_bytes_and_not_of_the_header(
    media_type: str, content: bytes, header: str
) -> None:
    picture = await respond_with(content, content_type=header).fetch(LINK)
    assert picture is not None
    assert (picture.media_type, picture.content) == (media_type, content)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><svg/>",
        b"<!doctype html><script>alert(1)</script>",
        b" \xff\xd8\xff",
        b"\xff\xd8",
        b"GIF90a",
        b"RIFF\x10\x00\x00\x00WAVEfmt ",
        b"%PDF-1.7",
        b"\x00\x00\x00\x1cftypavif",
        b"{}",
        b"",
    ],
)
async def test_other_content_is_not_accepted_whatever_the_header_says(content: bytes) -> None:
    assert detect_media_type(content) is None
    assert await respond_with(content, content_type="image/jpeg").fetch(LINK) is None


@pytest.mark.parametrize(
    "link",
    [
        "http://p16-sign.tiktokcdn-us.com/a.jpeg",
        "https://p16-sign.tiktokcdn-us.com:8443/a.jpeg",
        "https://user@p16-sign.tiktokcdn-us.com/a.jpeg",
        "https://user:password@p16-sign.tiktokcdn-us.com/a.jpeg",
        "https://p16-sign.tiktokcdn-us.com@evil.com/a.jpeg",
        "https://evil.com/p16-sign.tiktokcdn-us.com",
        "https://evil.com/.tiktokcdn.com",
        "https://evil.com?.tiktokcdn.com",
        "https://evil.com#.tiktokcdn.com",
        "https://evil.com\\.tiktokcdn.com/",
        "https://tiktokcdn.com/a.jpeg",
        "https://eviltiktokcdn.com/a.jpeg",
        "https://p16.tiktokcdn.com.evil.com/a.jpeg",
        "https://p16.tiktokcdn.com./a.jpeg",
        "https://127.0.0.1/a.jpeg",
        "https://[::1]/a.jpeg",
        "https://169.254.169.254/latest/meta-data/",
        "https://localhost/a.jpeg",
        "http://127.0.0.1:8002/a.jpeg",
        "http://127.0.0.1/a.jpeg",
        "https://127.0.0.1:8001/a.jpeg",
        "http://user@127.0.0.1:8001/a.jpeg",
        "http://localhost:8001/a.jpeg",
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
        "ftp://p16.tiktokcdn.com/a.jpeg",
        "//p16.tiktokcdn.com/a.jpeg",
        "p16.tiktokcdn.com/a.jpeg",
        "",
        "https://",
        "https://[p16.tiktokcdn.com/",
        "https://p16.tiktokcdn.com:99999/",
        "https://p16.tiktokcdn.com/\n",
        "https://p16.tiktokcdn.com/" + "a" * 70_000,
    ],
    ids=lambda link: repr(link[:50]),
)
async def test_only_hosts_on_the_list_are_requested(link: str) -> None:
    network = respond_with()
    assert await network.fetch(link) is None
    assert network.requests == []


@pytest.mark.parametrize(
    "link", ["https://P16.TikTokCDN.com/a", "https://a.b.tiktokcdn.com/a", "https://x.tiktokcdn.com:443/a"]
)
async def test_hosts_are_compared_as_names(link: str) -> None:
    assert await respond_with().fetch(link) is not None


async def test_a_whole_origin_stands_for_itself() -> None:
    network = respond_with()
    assert await network.fetch("http://127.0.0.1:8001/a.jpeg") is not None
    assert len(network.requests) == 1


async def test_without_hosts_nothing_is_fetched() -> None:
    network = respond_with()
    assert await network.fetch(LINK, hosts=()) is None
    assert network.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://p16-sign.tiktokcdn-us.com/b.jpeg", "http://169.254.169.254/"])
async def test_no_redirect_is_followed(status: int, location: str) -> None:
    network = respond_with(JPEG, status, location=location)
    assert await network.fetch(LINK) is None
    assert len(network.requests) == 1


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 403, 404, 410, 500, 503])
async def test_only_ok_is_a_picture(status: int) -> None:
    assert await respond_with(JPEG, status).fetch(LINK) is None


@pytest.mark.parametrize(("size", "is_accepted"), [(MAX_PICTURE_BYTES, True), (MAX_PICTURE_BYTES + 1, False)])
async def test_half_a_megabyte_is_the_limit(size: int, is_accepted: bool) -> None:
    content = JPEG + bytes(size - len(JPEG))
    assert (await respond_with(content).fetch(LINK) is not None) == is_accepted


async def test_a_picture_that_does_not_end_is_read_up_to_the_limit() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 64 * 1024
            yield JPEG + bytes(64 * 1024 - len(JPEG))

    assert await respond_with(endless()).fetch(LINK) is None
    assert sent <= MAX_PICTURE_BYTES + 2 * 64 * 1024


async def test_compressed_pictures_are_refused() -> None:
    network = respond_with(gzip.compress(JPEG + bytes(10)), content_encoding="gzip")
    assert await network.fetch(LINK) is None
    assert network.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError],
)
async def test_a_network_that_fails_is_no_failure(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("x", request=request)

    assert await Network(fail).fetch(LINK) is None


async def test_a_picture_that_drips_is_given_up_after_five_seconds() -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield JPEG
            await asyncio.sleep(0.2)

    started_at = time.monotonic()
    assert await respond_with(dripping()).fetch(LINK) is None
    assert time.monotonic() - started_at == pytest.approx(5, abs=1)


def test_the_source_is_the_link_without_its_signature() -> None:
    assert remove_signature(LINK) == remove_signature(LINK.replace("x-expires=1", "x-expires=2"))
    assert remove_signature("https://a/b") == "https://a/b"


def test_tiktoks_hosts_are_the_list_unless_another_is_set() -> None:
    hosts = Settings.model_fields["tiktok_avatar_hosts"].default
    assert hosts
    assert all(host.startswith("*.tiktokcdn") and "://" not in host for host in hosts)


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ann", "A"),
        ("Ann Baker", "AB"),
        ("ann baker carter", "AB"),
        ("  ann   baker  ", "AB"),
        ("<script> &amp;", "<&"),
        ("\"quoted\" 'single'", "\"'"),
        ("]]> -->", "]-"),
        ("😀 party", "😀P"),
        ("李娜", "李"),
        ("ßtraße", "S"),
        ("ﬁ ﬂ", "FF"),
        ("", "?"),
        ("   ", "?"),
        ("\x01\x02", "?"),
        ("\x01ann \x00baker", "AB"),
        ("\ufffe\uffff", "?"),
        ("\u200b\u202eann", "A"),
    ],
)
def test_initials_are_up_to_two_letters_as_well_formed_svg(name: str, letters: str) -> None:
    picture = draw_initials(name)
    drawing = ET.fromstring(picture.content)
    [text] = drawing.iter("{http://www.w3.org/2000/svg}text")
    assert (text.text, picture.media_type, picture.source) == (letters, "image/svg+xml", None)
    assert b"<script" not in picture.content


def test_the_same_name_is_drawn_alike_and_colours_differ() -> None:
    assert draw_initials("Ann Baker") == draw_initials("Ann Baker")
    drawn = b"".join(draw_initials(f"Name {number}").content for number in range(100))
    assert all(colour.encode() in drawn for colour in COLOURS)
