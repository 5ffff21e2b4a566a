"""GET /avatars/…"""

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from starlette.responses import Response

from tests.connecting import stored
from tests.support.backends import on_sqlite
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tests.web.provider import Provider, serving
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

LINK = "query Link($id: ID!) { account(id: $id) { avatarUrl } }"
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { userErrors { code } } }"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
GIF = b"GIF89a" + bytes(20)


def global_id(account: Account) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account.id)


@pytest.fixture(scope="module")
def network() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """A host of pictures, and services that fetch from it."""

    network: Provider
    tiktok: TikTok
    running: Running

    def link(self, name: str) -> str:
        parts = urlsplit(self.network.url)
        return f"{parts.scheme}://{parts.netloc}/{name}?x-signature={uuid4().hex}"

    def show(self, open_id: str, link: str | None, name: str = "Ann Baker") -> None:
        """In TikTok's next answer about this user."""
        user = {"open_id": open_id, "display_name": name, **({"avatar_url": link} if link else {})}
        body = json.dumps({"data": {"user": user}, "error": {"code": "ok"}}).encode()
        self.tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, status=200, body=body))

    async def connect(self, viewer: str, link: str | None, name: str = "Ann Baker") -> Account:
        open_id = f"user-{uuid4().hex}"
        self.show(open_id, link, name)
        return await self.tiktok.connect(viewer, open_id)

    async def sync(self, account: Account, link: str | None) -> Account:
        self.show(account.open_id, link)
        synced = await self.running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)
        assert synced.error is None
        return synced.account


@pytest.fixture
async def pictures(network: Provider, tiktok: TikTok, settings: Settings) -> AsyncGenerator[Pictures]:
    network.asked.clear()
    network.answer = Response(JPEG, media_type="image/jpeg")
    parts = urlsplit(network.url)
    picture_settings = settings.model_copy(update={"tiktok_avatar_hosts": (f"{parts.scheme}://{parts.netloc}",)})
    async with open_services(picture_settings) as running:
        theirs = TikTok(sandbox=tiktok.sandbox, settings=picture_settings, running=running)
        yield Pictures(network=network, tiktok=theirs, running=running)


async def path(api: Api, account: Account, settings: Settings) -> str:
    link: str = (await api.data(LINK, id=global_id(account)))["account"]["avatarUrl"]
    assert link.startswith(f"{settings.public_url}/avatars/")
    return link.removeprefix(settings.public_url)


async def test_the_link_shows_the_picture_without_a_token(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a.jpeg"))
    response = await http.get(await path(api, account, settings))
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, JPEG, "image/jpeg")
    assert "authorization" not in response.request.headers


async def test_it_is_kept_for_ever_and_can_do_nothing(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a.jpeg"))
    headers = (await http.get(await path(api, account, settings))).headers
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in headers


async def test_a_client_that_has_it_is_told_so(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a.jpeg"))
    where = await path(api, account, settings)
    tag = (await http.get(where)).headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await http.get(where, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await http.get(where, headers={"If-None-Match": '"other"'})).status_code == 200
    head = await http.head(where)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(JPEG)))


@pytest.mark.parametrize(("content", "media_type"), [(JPEG, "image/jpeg"), (PNG, "image/png"), (GIF, "image/gif")])
@on_sqlite
async def test_the_content_type_is_what_the_bytes_are(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures, content: bytes, media_type: str
) -> None:
    pictures.network.answer = Response(content, media_type="text/html")
    account = await pictures.connect(api.viewer, pictures.link("a"))
    response = await http.get(await path(api, account, settings))
    assert (response.headers["content-type"], response.content) == (media_type, content)


@on_sqlite
async def test_links_that_lead_to_no_picture_are_not_found(
    http: httpx.AsyncClient, api: Api, stranger: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a"))
    pictures.network.answer = Response(PNG)
    other = await pictures.connect(stranger.viewer, pictures.link("b"))
    _, _, mine, content_hash = (await path(api, account, settings)).split("/")
    _, _, _, other_hash = (await path(stranger, other, settings)).split("/")
    event = ids.encode(ids.NodeKind.AUDIT_EVENT, account.id)
    viewer = ids.encode(ids.NodeKind.VIEWER, api.viewer)
    wrong = [
        (mine, other_hash),
        (mine, "0" * 32),
        (mine, content_hash.upper()),
        (mine, content_hash[:-1]),
        (mine, content_hash + "0"),
        (mine, "%00"),
        (mine, "%FF"),
        (mine, "%"),
        (mine, "x" * 5000),
        (mine + "=", content_hash),
        (mine[:-1], content_hash),
        (str(account.id), content_hash),
        (ids.encode(ids.NodeKind.ACCOUNT, uuid4()), content_hash),
        (event, content_hash),
        (viewer, content_hash),
        ("%00", content_hash),
        ("é", content_hash),
        ("..", content_hash),
        ("%2E%2E", content_hash),
    ]
    for account_part, hash_part in wrong:
        answer = await http.get(f"/avatars/{account_part}/{hash_part}")
        assert answer.status_code == 404, (account_part, hash_part)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert answer.headers["cache-control"] == "no-store"
    assert (await http.get(f"/avatars/{mine}/{content_hash}/more")).status_code == 404
    assert (await http.get(f"/avatars/{mine}")).status_code == 404


async def test_a_link_dies_when_the_account_is_disconnected(
    http: httpx.AsyncClient, api: Api, settings: Settings, running: Running, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a"))
    where = await path(api, account, settings)
    tag = (await http.get(where)).headers["etag"]
    await api.data(DISCONNECT, id=global_id(account))
    assert (await http.get(where)).status_code == 404
    assert (await http.get(where, headers={"If-None-Match": tag})).status_code == 404
    assert (await stored.counts(running, api.viewer))["avatars"] == 0


async def test_connected_again_it_has_its_picture_again(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, link := pictures.link("a"))
    where = await path(api, account, settings)
    await api.data(DISCONNECT, id=global_id(account))
    pictures.show(account.open_id, link)
    await pictures.tiktok.connect(api.viewer, account.open_id)
    assert await path(api, account, settings) == where
    assert (await http.get(where)).content == JPEG


async def test_another_picture_has_another_link_and_the_one_before_still_works(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a"))
    links = [await path(api, account, settings)]
    for name, content in (("b", PNG), ("c", GIF)):
        pictures.network.answer = Response(content)
        await pictures.sync(account, pictures.link(name))
        links.append(await path(api, account, settings))
    assert len(set(links)) == 3
    answers = [await http.get(link) for link in links]
    assert [answer.status_code for answer in answers] == [404, 200, 200]
    assert [answer.content for answer in answers[1:]] == [PNG, GIF]


async def test_the_same_picture_is_not_fetched_again_whatever_its_signature(
    api: Api, settings: Settings, pictures: Pictures
) -> None:
    account = await pictures.connect(api.viewer, pictures.link("a"))
    where = await path(api, account, settings)
    for _ in range(3):
        await pictures.sync(account, pictures.link("a"))
    assert pictures.network.asked == ["/a"]
    await pictures.sync(account, pictures.link("b"))
    assert pictures.network.asked == ["/a", "/b"]
    assert await path(api, account, settings) == where  # the same bytes


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=404),
        Response(status_code=500),
        Response(b"<svg xmlns='http://www.w3.org/2000/svg'/>", media_type="image/jpeg"),
        Response(b"<html>", media_type="image/jpeg"),
        Response(status_code=302, headers={"Location": "http://127.0.0.1:1/"}),
        Response(JPEG + bytes(600 * 1024)),
    ],
    ids=["404", "500", "SVG", "HTML", "redirect", "600 KB"],
)
@on_sqlite
async def test_what_cannot_be_had_is_initials_at_first_and_later_what_there_was(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures, answer: Response
) -> None:
    good, pictures.network.answer = pictures.network.answer, answer
    account = await pictures.connect(api.viewer, pictures.link("a"))
    drawn = await http.get(first := await path(api, account, settings))
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert ">AB</text>" in drawn.text
    assert "sandbox" in drawn.headers["content-security-policy"]
    pictures.network.answer = good
    await pictures.sync(account, pictures.link("a"))
    assert (second := await path(api, account, settings)) != first
    pictures.network.answer = answer
    await pictures.sync(account, pictures.link("b"))
    assert await path(api, account, settings) == second
    assert (await http.get(second)).content == JPEG


@pytest.mark.parametrize(
    "link", [None, "https://evil.test/a.jpeg", "http://127.0.0.1:1/a.jpeg", "file:///etc/passwd", "nonsense"]
)
@on_sqlite
async def test_what_is_not_on_the_list_is_not_asked_for(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures, link: str | None
) -> None:
    account = await pictures.connect(api.viewer, link)
    assert (await http.get(await path(api, account, settings))).headers["content-type"] == "image/svg+xml"
    assert pictures.network.asked == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\"'&", "😀 party", "Ann", "\x01"])
@on_sqlite
async def test_initials_of_any_name_can_be_shown(
    http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures, name: str
) -> None:
    account = await pictures.connect(api.viewer, None, name)
    drawn = await http.get(await path(api, account, settings))
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "<script" not in drawn.text


async def test_a_post_is_not_allowed(http: httpx.AsyncClient, api: Api, settings: Settings, pictures: Pictures) -> None:
    account = await pictures.connect(api.viewer, None)
    assert (await http.post(await path(api, account, settings))).status_code == 405
