"""The pictures of the sandbox's people."""

import struct
import zlib
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.tiktok.sandbox_app import App, run_sandbox
from tiktok_accounts_gql.sandbox.portraits import render_portrait
from tiktok_accounts_gql.sandbox.users import SECONDS_PER_DAY
from tiktok_accounts_gql.tiktok.pictures import PictureClient, remove_signature

NOON = 1_795_521_600.0
FIELDS = {"avatar_url": 168, "avatar_url_100": 100, "avatar_large_url": 1080}


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def app(clock: Clock) -> Iterator[App]:
    with run_sandbox(clock=clock) as app:
        yield app


def links(app: App, open_id: str) -> dict[str, str]:
    fields: dict[str, str] = app.user_info(app.grant(open_id)["access_token"], ",".join(FIELDS)).json()["data"]["user"]
    return fields


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height. Check every chunk's checksum."""
    offset, kinds, header = 8, [], b""
    while offset < len(png):
        [length] = struct.unpack(">I", png[offset : offset + 4])
        kind, content = png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + length]
        [checksum] = struct.unpack(">I", png[offset + 8 + length : offset + 12 + length])
        assert checksum == zlib.crc32(kind + content)
        kinds.append(kind)
        header = content if kind == b"IHDR" else header
        offset += 12 + length
    assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", header[:8])
    return width, height


@pytest.mark.parametrize("name", FIELDS)
def test_each_link_leads_to_a_png_of_its_size(app: App, name: str) -> None:
    answer = app.http.get(links(app, "ann")[name])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert size_of(answer.content) == (FIELDS[name], FIELDS[name])


def test_users_look_the_same_every_day_and_different_from_others() -> None:
    names = [f"union-{number}" for number in range(30)]
    assert len({render_portrait(name, 168) for name in names}) > 28
    render_portrait.cache_clear()
    assert [render_portrait(name, 168) for name in names] == [render_portrait.__wrapped__(name, 168) for name in names]


def test_a_link_has_the_host_of_the_request_and_is_signed(app: App) -> None:
    host = {"Host": "tiktok.test:1234"}
    token = app.grant("ann")["access_token"]
    headers = {"Authorization": f"Bearer {token}", **host}
    answer = app.http.get("/v2/user/info/", params={"fields": "avatar_url"}, headers=headers)
    parts = urlsplit(answer.json()["data"]["user"]["avatar_url"])
    assert (parts.scheme, parts.netloc) == ("http", "tiktok.test:1234")
    assert set(parse_qs(parts.query)) == {"x-expires", "x-signature"}


def test_a_link_expires_within_days(app: App, clock: Clock) -> None:
    link = links(app, "ann")["avatar_url"]
    clock.now += SECONDS_PER_DAY
    assert app.http.get(link).status_code == 200
    clock.now += SECONDS_PER_DAY
    assert app.http.get(link).status_code == 403
    later = links(app, "ann")["avatar_url"]
    assert later != link
    assert remove_signature(later) == remove_signature(link)


@pytest.mark.parametrize("change", [("x-expires=", "x-expires=9"), ("x-signature=", "x-signature=a"), ("?", "?a=")])
def test_a_link_that_was_changed_is_refused(app: App, change: tuple[str, str]) -> None:
    link = links(app, "ann")["avatar_url"]
    assert app.http.get(link.replace(*change)).status_code == 403


def test_another_size_is_not_found(app: App) -> None:
    assert app.http.get(links(app, "ann")["avatar_url"].replace("168", "169")).status_code == 404


def test_pictures_are_recorded_and_cost_no_quota(app: App) -> None:
    link = links(app, "ben")["avatar_url"]
    for _ in range(601):
        assert app.http.get(link).status_code == 200
    assert app.user_info(app.grant("ben")["access_token"]).status_code == 200
    assert len(app.sandbox.state.list_calls(urlsplit(link).path)) == 601


async def test_the_picture_client_takes_it_from_the_sandboxs_origin(app: App) -> None:
    link = links(app, "ann")["avatar_url"]
    client = PictureClient.open(hosts=[str(app.http.base_url)])
    picture = await client.fetch(link)
    await client.aclose()
    assert picture is not None
    assert (picture.media_type, picture.source) == ("image/png", remove_signature(link))
    assert httpx.URL(link).host == app.http.base_url.host
