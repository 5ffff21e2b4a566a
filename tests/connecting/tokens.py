"""An account's tokens: made to expire, and compared with those that the sandbox issued last."""

from datetime import timedelta

from sqlalchemy import update
from sqlmodel import col

from tests.connecting import stored
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running


async def expire_access_token(running: Running, tiktok: TikTok, account: Account) -> None:
    """Expire the access token, in the database and at TikTok."""
    tiktok.sandbox.state.expire_access_token(account.open_id)
    past = utc_now() - timedelta(minutes=1)
    async with running.db.transaction() as session:
        of_account = update(TokenPair).where(col(TokenPair.account_id) == account.id)
        await session.execute(of_account.values(expires_at=past, issued_at=past - timedelta(hours=2)))


def get_issued_pair(tiktok: TikTok, account: Account) -> stored.Pair:
    """Return the pair that the sandbox issued last."""
    grant = tiktok.sandbox.state.find_grant(account.open_id)
    assert grant is not None
    return stored.Pair(access_token=grant.access_token, refresh_token=grant.refresh_token)


def is_issued_token(tiktok: TikTok, account: Account, token: str) -> bool:
    grant = tiktok.sandbox.state.find_grant(account.open_id)
    return grant is not None and grant.access_token == token


async def sync(running: Running, account: Account) -> SyncedAccount:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)
