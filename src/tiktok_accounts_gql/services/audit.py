"""Audit events: every operation leaves one."""

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
from tiktok_accounts_gql.services.viewer import Noted, Viewer

JOB_DETAIL = "syncJobId"


class StoredDetail(TypedDict):
    """A detail as the table holds it."""

    name: str
    value: str | None
    previousValue: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One fact about an event; never a secret."""

    name: str
    value: object = None
    previous: object = None

    def stored(self) -> StoredDetail:
        return {"name": self.name, "value": _text(self.value), "previousValue": _text(self.previous)}


SHARED = Detail(name="shared", value=True)  # the outcome of what another caller did at the same time


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


class AuditService:
    """Records and lists events."""

    def __init__(self, *, db: Database, writer: AuditWriter, pager: Pager, clock: Clock) -> None:
        self._db = db
        self._writer = writer
        self._pager = pager
        self._clock = clock

    def record(
        self,
        session: Session,
        viewer: Viewer,
        action: AuditAction,
        *,
        account_id: UUID | None = None,
        details: Iterable[Detail] = (),
    ) -> None:
        """A change's event: commits with the change, in its session."""
        audit.add_many(session, [self._event(viewer, action, account_id, details)])

    def record_repetition(
        self,
        session: Session,
        viewer: Viewer,
        operation: str,
        *,
        account_id: UUID | None = None,
        details: Iterable[Detail] = (),
    ) -> None:
        """Of a mutation that changed nothing, because an earlier call had: it answered as that one did."""
        details = [Detail(name="operation", value=operation), *details]
        self.record(session, viewer, AuditAction.MUTATION_REPEATED, account_id=account_id, details=details)

    async def record_read(self, viewer: Viewer, action: AuditAction, *details: Detail) -> None:
        """A read's event: durable when this returns."""
        await self._writer.write([self._event(viewer, action, None, details)])

    async def record_again(self, viewer: Viewer, noted: Collection[Noted]) -> None:
        """Events of reads whose answer was kept, as of now: durable when this returns."""
        await self._writer.write([self._event(viewer, one.action, one.account_id, one.details) for one in noted])

    async def record_refusals(
        self, viewer: Viewer, action: AuditAction, refused: Iterable[tuple[str, str]], account_id: UUID | None = None
    ) -> None:
        """Operations with the code that refused each: durable when this returns. Raises ServiceUnavailable.

        An account that is not, and never was, the viewer's is left out.
        """
        username = None
        if account_id is not None:
            async with self._db.read() as session:
                account = await accounts.find(session, viewer.id, account_id)
            account_id, username = (account.id, account.username) if account else (None, None)
        details = [(Detail(name="operation", value=name), Detail(name="reason", value=code)) for name, code in refused]
        events = [self._event(viewer, action, account_id, one) for one in details]
        await self._writer.write([{**event, "account_username": username} for event in events])

    async def record_account_reads(self, viewer: Viewer, found: Mapping[UUID, Account], asked: int) -> None:
        """An event for each account that was read, and one without an account for ids that nothing was found for."""
        events = [
            {**self._event(viewer, AuditAction.ACCOUNT_READ, account_id, ()), "account_username": account.username}
            for account_id, account in found.items()
        ]
        if missing := asked - len(found):
            details = (Detail(name="notFound", value=missing),)
            events.append(self._event(viewer, AuditAction.ACCOUNT_READ, None, details))
        await self._writer.write(events)

    async def list(self, viewer: Viewer, page: PageRequest, where: AuditEventFilter) -> Page[AuditEvent]:
        """Newest first. Raises BadUserInput for cursors of another list."""
        statement = audit.select_events(viewer.id, where)
        events = await self._pager.list_page(statement, audit.NEWEST_FIRST, page)
        await self.record_read(viewer, AuditAction.AUDIT_EVENTS_READ, Detail(name="count", value=len(events.edges)))
        return events

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, AuditEvent]:
        """Those of these events that are the viewer's."""
        async with self._db.read() as session:
            events = await audit.list_by_ids(session, viewer.id, ids)
        await self.record_read(viewer, AuditAction.AUDIT_EVENTS_READ, Detail(name="count", value=len(events)))
        return {event.id: event for event in events}

    def _event(
        self, viewer: Viewer, action: AuditAction, account_id: UUID | None, details: Iterable[Detail]
    ) -> audit.EventValues:
        details = tuple(details)
        if viewer.noted is not None:
            viewer.noted.append(Noted(action=action, account_id=account_id, details=details))
        return {
            "id": uuid7(),
            "viewer_id": viewer.id,
            "action": action,
            "is_change": action not in READ_ACTIONS,
            "created_at": self._clock(),
            "account_id": account_id,
            "account_username": None,
            "actor": viewer.actor,
            "request_id": viewer.request_id,
            "ip_address": viewer.ip_address,
            "details": [detail.stored() for detail in details],
        }
