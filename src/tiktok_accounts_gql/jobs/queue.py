"""The port to the durable job engine, DBOS Transact: work is enqueued in the caller's own transaction.

DBOS stores ids, never tokens. It runs on the application's own database: beside its tables on SQLite, in a schema of its own
(`dbos`) on PostgreSQL.
"""

from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.database_urls import to_libpq_url

APPLICATION, VERSION = "tiktok-accounts", "1"
QUEUE = "syncs"
FAN_OUT, SYNC, SCHEDULED = "fan out a job", "sync an account of a job", "sync an account on schedule"
HIGHEST_PRIORITY, LOWEST_PRIORITY = 1, 2**31 - 1


def migrate_engine(url: str) -> None:
    """Bring the engine's tables up to its version."""
    DBOS.migrate(to_libpq_url(url))


class JobQueue:
    """Enqueues work that commits with the caller's transaction, or not at all.

    A lower priority goes first. `occasion`: the same work with the same occasion is enqueued once.
    """

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    @classmethod
    def open(cls, url: str) -> Self:
        """Return a queue that connects when it is first used."""
        return cls(
            DBOSClient(
                system_database_url=to_libpq_url(url),
                serializer=DBOSPortableJSONSerializer(),
                application_name=APPLICATION,
                retry_connection_errors=False,
                lazy=True,
            )
        )

    def close(self) -> None:
        self._client.destroy()

    async def enqueue_fan_out(self, session: AsyncSession, viewer_id: str, job_id: UUID) -> None:
        """Enqueue the work that enqueues the accounts of a job."""
        arguments = (viewer_id, str(job_id))
        await self._enqueue(session, FAN_OUT, f"job:{job_id}", arguments, priority=HIGHEST_PRIORITY)

    async def enqueue_sync(
        self,
        session: AsyncSession,
        viewer_id: str,
        result_id: UUID,
        *,
        priority: int,
        delay: timedelta = timedelta(0),
        occasion: str = "first",
    ) -> None:
        """Enqueue one attempt to sync one account of a job."""
        work_id = f"sync:{result_id}:{occasion}"
        await self._enqueue(session, SYNC, work_id, (viewer_id, str(result_id)), priority=priority, delay=delay)

    async def enqueue_scheduled(
        self,
        session: AsyncSession,
        viewer_id: str,
        account_id: UUID,
        *,
        occasion: str,
        delay: timedelta = timedelta(0),
    ) -> None:
        """Enqueue a sync of the schedule, behind all jobs."""
        work_id, arguments = f"scheduled:{account_id}:{occasion}", (viewer_id, str(account_id))
        await self._enqueue(session, SCHEDULED, work_id, arguments, priority=LOWEST_PRIORITY, delay=delay)

    async def _enqueue(
        self,
        session: AsyncSession,
        name: str,
        work_id: str,
        arguments: tuple[str, ...],
        *,
        priority: int,
        delay: timedelta = timedelta(0),
    ) -> None:
        options: dict[str, Any] = {
            "workflow_name": name,
            "queue_name": QUEUE,
            "workflow_id": work_id,
            "app_version": VERSION,
            "priority": min(max(priority, HIGHEST_PRIORITY), LOWEST_PRIORITY),
        }
        if delay:
            options["delay_seconds"] = delay.total_seconds()

        def enqueue(connection: Connection) -> None:
            self._client.enqueue_in_transaction(connection, options, *arguments)  # type: ignore[arg-type]

        await (await session.connection()).run_sync(enqueue)
