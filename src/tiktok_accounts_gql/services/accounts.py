"""Reading accounts, and giving them up."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import account_queries, account_totals, accounts, avatars, token_pairs
from tiktok_accounts_gql.db.account_queries import LOAD_ALL, LoadHints
from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.account_update import AccountUpdate
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import TokensUnreadable
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.pagination import Page, PageRequest
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.idempotency import Call, IdempotencyService
from tiktok_accounts_gql.services.paging import build_page, decode_bounds
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrder:
    """Newest first if nothing else is asked for."""

    field: AccountOrderField = AccountOrderField.CREATED_AT
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage(Page[Account]):
    """Keeps its filter, so that all accounts it is a page of can be counted if somebody asks."""

    where: AccountFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    disconnected_account_id: UUID


class AccountService:
    """What a viewer does with accounts that are connected already."""

    def __init__(
        self,
        *,
        db: Database,
        audit: AuditService,
        notifications: Notifications,
        idempotency: IdempotencyService,
        revocations: RevocationService,
        clock: Clock,
    ) -> None:
        self._db = db
        self._audit = audit
        self._notifications = notifications
        self._idempotency = idempotency
        self._revocations = revocations
        self._clock = clock

    async def list(
        self,
        viewer: Viewer,
        page: PageRequest,
        where: AccountFilter,
        order: AccountOrder,
        ahead: LoadHints = LOAD_ALL,
    ) -> AccountPage:
        """Of rows with no more than what is loaded `ahead`. Raises BadUserInput for cursors of another list."""
        ordering = accounts.build_ordering(order.field, descending=order.descending)
        bounds = decode_bounds(ordering, page)
        rows = await account_queries.fetch_page(self._db, viewer.id, where, ordering, page, bounds, ahead)
        found = build_page(ordering, rows)
        await self._audit.record_read(viewer, AuditAction.ACCOUNTS_LISTED, Detail(name="count", value=len(found.edges)))
        return AccountPage(edges=found.edges, page_info=found.page_info, total=found.total, where=where)

    async def total(self, viewer: Viewer, page: AccountPage) -> int:
        """Over all pages of its list."""
        return await self.count(viewer, page.where) if page.total is None else page.total

    async def count(self, viewer: Viewer, where: AccountFilter) -> int:
        """Part of a list: the list's event covers it."""
        return await account_queries.count(self._db, viewer.id, where)

    async def summarize(self, viewer: Viewer) -> AccountsSummary:
        summary = await account_totals.summarize(self._db, viewer.id)
        await self._audit.record_read(viewer, AuditAction.SUMMARY_READ)
        return summary

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, Account]:
        """Those of these accounts that the viewer has connected; an event for each."""
        found = await self.find(viewer, ids)
        await self._audit.record_account_reads(viewer, found, len(set(ids)))
        return found

    async def find(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, Account]:
        """As `read`, for accounts that are shown within something whose own event covers them."""
        return {account.id: account for account in await account_queries.list_by_ids(self._db, viewer.id, set(ids))}

    async def disconnect(self, viewer: Viewer, account_id: UUID, idempotency_key: str | None) -> Disconnected:
        """Gives the account up here at once; TikTok is told beside the caller, as soon as it answers.

        What is owed to TikTok commits with the change, so that no crash and no silence of TikTok's loses it.
        Raises NotFound, InvalidInput, IdempotencyKeyReused.
        """
        if await self._disconnect(viewer, account_id, idempotency_key):
            self._revocations.settle_soon()
        return Disconnected(disconnected_account_id=account_id)

    @retry_on_deadlock
    async def _disconnect(self, viewer: Viewer, account_id: UUID, idempotency_key: str | None) -> bool:
        """Whether a revocation is owed to TikTok. Raises as `disconnect` does."""
        call = Call(operation="disconnectAccount", input=str(account_id), answer=str(account_id))
        async with self._db.transaction() as session:
            if await self._idempotency.earlier_answer(session, viewer, idempotency_key, call) is None:
                return await self._give_up(session, viewer, account_id)
            self._audit.record_repetition(session, viewer, call.operation, account_id=account_id)
        return False

    async def _give_up(self, session: Session, viewer: Viewer, account_id: UUID) -> bool:
        """Whether a revocation is owed to TikTok. Raises NotFound."""
        now = self._clock()
        account = await accounts.get(session, viewer.id, account_id, lock=True)
        owes, details = False, []
        try:
            owes = await self._revocations.owe(session, account)
        except TokensUnreadable as error:
            details = [Detail(name="notRevoked", value=error.message)]
        gone: AccountUpdate = {
            "disconnected_at": now,
            "updated_at": now,
            "token_expires_at": None,
            "reauthorize_by": None,
            "avatar_hash": None,
        }
        await accounts.change(session, viewer.id, account_id, **gone)
        await token_pairs.erase(session, viewer.id, account_id)
        await avatars.erase(session, viewer.id, account_id)
        event = AccountChanged(account_id=account_id, kind=ChangeKind.DISCONNECTED)
        self._notifications.publish(session, viewer.id, event)
        self._audit.record(session, viewer, AuditAction.ACCOUNT_DISCONNECTED, account_id=account_id, details=details)
        return owes
