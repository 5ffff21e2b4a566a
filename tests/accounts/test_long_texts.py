"""Texts of a megabyte in TikTok's replies: cut or null by their kind, never stored whole, and no reason to lose the rest."""

from typing import Any

import pytest

from tests.connecting import stored
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.parsing import MAX_TEXT_LENGTH
from tiktok_accounts_gql.wiring import Running

MEGABYTE = 1024 * 1024
LETTERS = {
    "ascii": "x" * MEGABYTE,
    "escaped": "\u00e9" * (MEGABYTE // 2),
    "expanding when folded": "\ufdfa" * (MEGABYTE // 4),
}


async def sync(running: Running, account: Account) -> bool:
    return (await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)).error is None


def alter(tiktok: TikTok, account: Account, path: str, fields: dict[str, Any]) -> None:
    tiktok.fail(path, account, alteration=Alteration(fields=fields))


@pytest.mark.parametrize("text", LETTERS.values(), ids=LETTERS)
@pytest.mark.parametrize(
    ("field", "column", "length"),
    [
        ("display_name", "display_name", MAX_TEXT_LENGTH),
        ("bio_description", "bio_description", MAX_TEXT_LENGTH),
        ("username", "username", None),
        ("profile_deep_link", "profile_url", None),
        ("union_id", "union_id", "kept"),
        ("avatar_url", "avatar_hash", "kept"),
    ],
)
async def test_a_long_text_is_cut_or_missing_and_the_rest_is_stored(
    tiktok: TikTok, running: Running, viewer: str, field: str, column: str, length: int | str | None, text: str
) -> None:
    account = await tiktok.connect(viewer)
    link = "https://www.tiktok.com/" if field in ("profile_deep_link", "avatar_url") else ""
    alter(tiktok, account, USER_INFO_PATH, {f"data.user.{field}": link + text, "data.user.likes_count": 7})
    assert await sync(running, account)
    [kept] = await stored.accounts(running, viewer)
    value = getattr(kept, column)
    if length == "kept":
        assert value == getattr(account, column)
    else:
        assert value == (None if length is None else text[:MAX_TEXT_LENGTH])
    assert kept.likes_count == 7


async def test_all_texts_may_be_long_at_once(tiktok: TikTok, running: Running, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    names = ("display_name", "bio_description", "username", "profile_deep_link")
    alter(tiktok, account, USER_INFO_PATH, {f"data.user.{name}": "x" * MEGABYTE for name in names})
    assert await sync(running, account)
    [kept] = await stored.accounts(running, viewer)
    assert (len(kept.display_name), kept.username, kept.profile_url) == (MAX_TEXT_LENGTH, None, None)
    assert kept.last_error is None


@pytest.mark.parametrize("field", ["scope", "open_id", "log_id", "error_description", "token_type", "expires_in"])
async def test_a_long_text_beside_tokens_costs_no_token(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, field: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    alter(tiktok, account, TOKEN_PATH, {field: "x" * MEGABYTE})
    assert await sync(running, account)
    grant = tiktok.sandbox.state.find_grant(account.open_id)
    assert grant is not None
    pair = await stored.pair(running, settings, account)
    assert (pair.access_token, pair.refresh_token) == (grant.access_token, grant.refresh_token)


@pytest.mark.parametrize(
    "name", ["", " ", "\u200b", "\u200b\u200d \ufeff", "\t\n", "\u202e", "\u00ad\u2060", "\0"], ids=ascii
)
async def test_a_name_in_which_nothing_is_seen_is_none(
    tiktok: TikTok, running: Running, viewer: str, name: str
) -> None:
    account = await tiktok.connect(viewer)
    alter(tiktok, account, USER_INFO_PATH, {"data.user.display_name": name})
    assert await sync(running, account)
    [kept] = await stored.accounts(running, viewer)
    assert kept.display_name == account.display_name != ""
