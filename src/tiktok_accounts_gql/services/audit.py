"""Audit events: every operation records one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, audit
from tiktok_accounts_gql.db.audit import AuditEventFilter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import READ_ACTIONS, Account, AuditAction, AuditEvent
from tiktok_accounts_gql.pagination import Page, PageRequest
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.services.viewer import AuditRecord, Viewer

JOB_DETAIL = "syncJobId"


class StoredDetail(TypedDict):
    """A detail as the table's JSON column holds it."""

    name: str
    value: str | None
    previousValue: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One fact about an event; never a secret."""

    name: str
    value: object = None
    previous: object = None

    def to_stored(self) -> StoredDetail:
        return {"name": self.name, "value": _to_text(self.value), "previousValue": _to_text(self.previous)}


SHARED = Detail(
    name="shared", value=True
)  # this caller got the result of a call that another one made at the same time


def _to_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditService:
    """Records and lists audit events."""

    db: Database
    writer: AuditWriter
    pager: Pager
    clock: Clock

    def record(
        self,
        session: Session,
        viewer: Viewer,
        action: AuditAction,
        *,
        account_id: UUID | None = None,
        details: Iterable[Detail] = (),
    ) -> None:
        """Record a change in the session that makes it, so that both commit together."""
        audit.add_many(session, [self._build_event(viewer, action, account_id, details)])

    def record_repetition(
        self,
        session: Session,
        viewer: Viewer,
        operation: str,
        *,
        account_id: UUID | None = None,
        details: Iterable[Detail] = (),
    ) -> None:
        """Record a mutation that changed nothing, because it repeats an earlier call and answers as that one did."""
        details = [Detail(name="operation", value=operation), *details]
        self.record(session, viewer, AuditAction.MUTATION_REPEATED, account_id=account_id, details=details)

    async def record_read(self, viewer: Viewer, action: AuditAction, *details: Detail) -> None:
        """Record a read. The event is durable when this returns."""
        await self.writer.write([self._build_event(viewer, action, None, details)])

    async def replay(self, viewer: Viewer, records: Collection[AuditRecord]) -> None:
        """Record the reads of a cached response again, as of now. The events are durable when this returns."""
        await self.writer.write(
            [self._build_event(viewer, record.action, record.account_id, record.details) for record in records]
        )

    async def record_refusals(
        self, viewer: Viewer, action: AuditAction, refusals: Iterable[tuple[str, str]], account_id: UUID | None = None
    ) -> None:
        """Record refused operations, given as pairs of operation and error code. Raises ServiceUnavailable.

        An account that is not, and never was, the viewer's is left out. The events are durable when this returns.
        """
        username = None
        if account_id is not None:
            async with self.db.read() as session:
                account = await accounts.find(session, viewer.id, account_id)
            account_id, username = (account.id, account.username) if account else (None, None)
        events = []
        for operation, code in refusals:
            details = (Detail(name="operation", value=operation), Detail(name="reason", value=code))
            event = self._build_event(viewer, action, account_id, details)
            events.append({**event, "account_username": username})
        await self.writer.write(events)

    async def record_account_reads(
        self, viewer: Viewer, read_accounts: Mapping[UUID, Account], requested_count: int
    ) -> None:
        """Record an event for each account that was read, and one more for the requested ids that have no account."""
        events = [
            {
                **self._build_event(viewer, AuditAction.ACCOUNT_READ, account.id, ()),
                "account_username": account.username,
            }
            for account in read_accounts.values()
        ]
        if missing := requested_count - len(read_accounts):
            details = (Detail(name="notFound", value=missing),)
            events.append(self._build_event(viewer, AuditAction.ACCOUNT_READ, None, details))
        await self.writer.write(events)

    async def list(self, viewer: Viewer, page: PageRequest, filter: AuditEventFilter) -> Page[AuditEvent]:
        """Return the newest events first. Raises BadUserInput for cursors of another list."""
        statement = audit.select_events(viewer.id, filter)
        events = await self.pager.list_page(statement, audit.NEWEST_FIRST, page)
        await self.record_read(viewer, AuditAction.AUDIT_EVENTS_READ, Detail(name="count", value=len(events.edges)))
        return events

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, AuditEvent]:
        """Return those of these events that are the viewer's."""
        async with self.db.read() as session:
            events = await audit.list_by_ids(session, viewer.id, ids)
        await self.record_read(viewer, AuditAction.AUDIT_EVENTS_READ, Detail(name="count", value=len(events)))
        return {event.id: event for event in events}

    def _build_event(
        self, viewer: Viewer, action: AuditAction, account_id: UUID | None, details: Iterable[Detail]
    ) -> audit.EventValues:
        details = tuple(details)
        if viewer.audit_records is not None:
            viewer.audit_records.append(AuditRecord(action=action, account_id=account_id, details=details))
        return {
            "id": uuid7(),
            "viewer_id": viewer.id,
            "action": action,
            "is_change": action not in READ_ACTIONS,
            "created_at": self.clock(),
            "account_id": account_id,
            "account_username": None,
            "actor": viewer.actor,
            "request_id": viewer.request_id,
            "ip_address": viewer.ip_address,
            "details": [detail.to_stored() for detail in details],
        }
