"""The connections of PostgreSQL on which servers listen for events."""

from sqlalchemy import text

from tiktok_accounts_gql.db import notifications
from tiktok_accounts_gql.wiring import Running

_PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"
_TERMINATE = f"SELECT pg_terminate_backend(pid) FROM ({_PIDS}) AS listeners"


async def list_listeners(running: Running) -> set[int]:
    """Return the ids of the database's processes."""
    async with running.db.read() as session:
        return set(await session.scalars(text(_PIDS), {"name": notifications.CHANNEL}))


async def terminate_listeners(running: Running) -> None:
    async with running.db.transaction() as session:
        await session.execute(text(_TERMINATE), {"name": notifications.CHANNEL})
