"""What all services build on: settings, database, clients of TikTok, queue, notifications and audit."""

from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db.change_versions import ChangeVersions, open_change_versions
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.idempotency import IdempotencyService
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.pictures import PictureClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Infrastructure:
    """What all services build on."""

    settings: Settings
    clock: Clock
    failures: FailureLog
    db: Database
    tiktok: TikTokClient
    pictures: PictureClient
    queue: JobQueue
    hub: Hub
    changes: ChangeVersions
    notifications: Notifications
    sealer: Sealer
    pager: Pager
    audit_writer: AuditWriter
    audit: AuditService
    avatars: AvatarService
    idempotency: IdempotencyService

    @property
    def call_timeout(self) -> timedelta:
        """Return how long a request to TikTok takes at most."""
        return timedelta(seconds=self.settings.tiktok_timeout_seconds)

    async def close(self) -> None:
        """Write the last audit events, and close everything that was opened."""
        await self.audit_writer.close()
        await self.tiktok.aclose()
        await self.pictures.aclose()
        await self.db.close()
        self.queue.close()
        self.changes.close()


def build_infrastructure(settings: Settings, *, clock: Clock, sealer: Sealer, failures: FailureLog) -> Infrastructure:
    """Open the database, the clients and the queue; all of them connect when first used."""
    db = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    hub, changes = Hub(clock=clock), open_change_versions(settings.database_url)
    audit_writer, pager = AuditWriter(db, failures), Pager(db)
    pictures = PictureClient.open(hosts=settings.tiktok_avatar_hosts)
    return Infrastructure(
        settings=settings,
        clock=clock,
        failures=failures,
        db=db,
        tiktok=TikTokClient.open(
            api_url=settings.tiktok_api_url,
            client_key=settings.tiktok_client_key,
            client_secret=settings.tiktok_client_secret,
            timeout=settings.tiktok_timeout_seconds,
        ),
        pictures=pictures,
        queue=JobQueue.open(settings.database_url),
        hub=hub,
        changes=changes,
        notifications=Notifications.open(
            settings.database_url,
            hub=hub,
            changes=changes,
            clock=clock,
            on_error=lambda _: failures.count(FailureKind.LISTENER),
        ),
        sealer=sealer,
        pager=pager,
        audit_writer=audit_writer,
        audit=AuditService(db=db, writer=audit_writer, pager=pager, clock=clock),
        avatars=AvatarService(db=db, pictures=pictures, clock=clock),
        idempotency=IdempotencyService(clock=clock),
    )
