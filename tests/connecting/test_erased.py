"""What is erased is gone, from the file too."""

import sqlite3
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.connecting.traces import read_database, read_files
from tests.support.backends import on_sqlite
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db import token_pairs
from tiktok_accounts_gql.db.models import TokenPair
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running


async def pair_of(running: Running, viewer: str, tiktok: TikTok) -> TokenPair:
    account = await tiktok.connect(viewer)
    async with running.db.read() as session:
        pair = await token_pairs.find(session, viewer, account.id)
    assert pair is not None
    return pair


@on_sqlite
async def test_sealed_tokens_leave_the_file_with_the_account(
    running: Running, tiktok: TikTok, settings: Settings, viewer: str
) -> None:
    pair = await pair_of(running, viewer, tiktok)
    assert pair.access_token in await read_database(running, settings)
    await running.services.accounts.disconnect(Viewer(id=viewer), pair.account_id, None)
    file = Path(str(make_url(settings.database_url).database))
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert pair.access_token not in await read_files(file)


async def test_nothing_of_a_disconnected_accounts_tokens_is_left(running: Running, tiktok: TikTok, viewer: str) -> None:
    pair = await pair_of(running, viewer, tiktok)
    await running.services.accounts.disconnect(Viewer(id=viewer), pair.account_id, None)
    async with running.db.read() as session:
        assert await token_pairs.find(session, viewer, pair.account_id) is None
