"""Totals of a viewer's accounts, computed from their rows."""

from sqlalchemy import select
from sqlmodel import col

from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.accounts import USER_ACTIONS
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus

LARGEST = 2**53 - 1


async def recount(db: Database, viewer: str) -> AccountsSummary:
    connected = (col(Account.viewer_id) == viewer, col(Account.disconnected_at).is_(None))
    async with db.read() as session:
        rows = (await session.scalars(select(Account).where(*connected))).all()
    return AccountsSummary(
        total_accounts=len(rows),
        active_accounts=sum(row.status is AccountStatus.ACTIVE for row in rows),
        inactive_accounts=sum(row.status is AccountStatus.INACTIVE for row in rows),
        expired_accounts=sum(row.status is AccountStatus.EXPIRED for row in rows),
        accounts_needing_action=sum(row.health_action in USER_ACTIONS for row in rows),
        total_followers=min(sum(row.follower_count or 0 for row in rows), LARGEST),
        total_likes=min(sum(row.likes_count or 0 for row in rows), LARGEST),
        total_videos=min(sum(row.video_count or 0 for row in rows), LARGEST),
        oldest_sync_at=min((row.last_synced_at for row in rows if row.last_synced_at), default=None),
    )
