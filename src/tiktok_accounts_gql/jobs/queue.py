"""The port to the durable job engine, DBOS Transact: work is enqueued in the caller's own transaction.

What DBOS stores are ids, never tokens. It runs on the application's own database: beside its tables on SQLite, in a schema
of its own (`dbos`) on PostgreSQL.
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
LAST_TURN = 2**31 - 1


def migrate_engine(url: str) -> None:
    """Brings the engine's tables up to its version."""
    DBOS.migrate(to_libpq_url(url))


class JobQueue:
    """Enqueues. Commits with the caller's transaction, or not at all."""

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    @classmethod
    def open(cls, url: str) -> Self:
        """Connects when first used."""
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
        """The enqueueing of a job's accounts."""
        await self._enqueue(session, FAN_OUT, f"job:{job_id}", (viewer_id, str(job_id)), turn=1)

    async def enqueue_sync(
        self,
        session: AsyncSession,
        viewer_id: str,
        result_id: UUID,
        *,
        turn: int,
        delay: timedelta = timedelta(0),
        occasion: str = "first",
    ) -> None:
        """One attempt to sync one account of a job; the same occasion again is the same work. Lower turns go first."""
        work_id = f"sync:{result_id}:{occasion}"
        await self._enqueue(session, SYNC, work_id, (viewer_id, str(result_id)), turn=turn, delay=delay)

    async def enqueue_scheduled(
        self,
        session: AsyncSession,
        viewer_id: str,
        account_id: UUID,
        *,
        occasion: str,
        delay: timedelta = timedelta(0),
    ) -> None:
        """A sync that the schedule asks for; the same account on the same occasion again is the same work."""
        work_id = f"scheduled:{account_id}:{occasion}"
        await self._enqueue(session, SCHEDULED, work_id, (viewer_id, str(account_id)), turn=LAST_TURN, delay=delay)

    async def _enqueue(
        self,
        session: AsyncSession,
        name: str,
        work_id: str,
        arguments: tuple[str, ...],
        *,
        turn: int,
        delay: timedelta = timedelta(0),
    ) -> None:
        options: dict[str, Any] = {
            "workflow_name": name,
            "queue_name": QUEUE,
            "workflow_id": work_id,
            "app_version": VERSION,
            "priority": min(max(turn, 1), LAST_TURN),
        }
        if delay:
            options["delay_seconds"] = delay.total_seconds()

        def enqueue(connection: Connection) -> None:
            self._client.enqueue_in_transaction(connection, options, *arguments)  # type: ignore[arg-type]

        await (await session.connection()).run_sync(enqueue)
