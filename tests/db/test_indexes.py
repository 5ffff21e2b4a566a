"""Every order, filter and search reads its index, in the order of the index, for a viewer with many accounts."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.db.conftest import empty_database
from tests.db.query_plans import explain
from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db import (
    account_queries,
    account_totals,
    account_writes,
    accounts,
    audit,
    schedule,
    sync_jobs,
    token_pairs,
)
from tiktok_accounts_gql.db.account_queries import LoadHints
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.audit import AuditEventFilter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.keyset import Ordering, Range, select_slice
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor, AuditEvent, HealthState
from tiktok_accounts_gql.db.schedule import ScheduledSync
from tiktok_accounts_gql.pagination import PageRequest, Position, SortKey

pytestmark = pytest.mark.untraced

VIEWER = "viewer with many accounts"
ID = UUID("01900000-0000-7000-8000-000000000000")
INDEXES = {
    AccountOrderField.CREATED_AT: "accounts_by_created_at",
    AccountOrderField.DISPLAY_NAME: "accounts_by_display_name",
    AccountOrderField.USERNAME: "accounts_by_username",
    AccountOrderField.FOLLOWER_COUNT: "accounts_by_followers",
    AccountOrderField.LAST_SYNCED_AT: "accounts_by_last_sync",
}
MIDDLE: dict[AccountOrderField, SortKey] = {
    AccountOrderField.CREATED_AT: NOON - timedelta(minutes=1500),
    AccountOrderField.DISPLAY_NAME: "name 5",
    AccountOrderField.USERNAME: "user.5",
    AccountOrderField.FOLLOWER_COUNT: 2500,
    AccountOrderField.LAST_SYNCED_AT: NOON - timedelta(seconds=2000),
}
EVERYTHING = AccountFilter()
every_order = pytest.mark.parametrize("field", AccountOrderField)
both_ways = pytest.mark.parametrize("descending", [True, False], ids=["descending", "ascending"])
both_ends = pytest.mark.parametrize("backward", [False, True], ids=["first", "last"])


def numbered(viewer: str, number: int) -> Account:
    return account(
        viewer,
        number,
        username=None if number % 10 == 0 else f"user.{number * 7919 % 10007}",
        display_name=f"Name {number * 1046527 % 10007}",
        bio_description="So many words as people write about themselves. " * 6,
        follower_count=None if number % 10 == 1 else number * 31 % 5000,
        last_synced_at=None if number % 10 == 2 else NOON - timedelta(seconds=number * 17 % 4000),
        status=AccountStatus.EXPIRED if number % 50 == 0 else AccountStatus.ACTIVE,
        disconnected_at=NOON if number % 20 == 3 else None,
        next_sync_at=None if number % 100 == 4 else NOON + timedelta(minutes=number - 2500),
    )


def read_event(number: int) -> AuditEvent:
    return AuditEvent(
        viewer_id=VIEWER,
        action=AuditAction.ACCOUNT_CONNECTED if number % 50 == 0 else AuditAction.ACCOUNTS_LISTED,
        is_change=number % 50 == 0,
        created_at=NOON - timedelta(minutes=number),
        actor=AuditActor.USER,
        details=[],
    )


@pytest_asyncio.fixture(scope="module", params=["sqlite", "sqlite without statistics", "postgresql"])
async def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Database]:
    """Users do not run ANALYZE on SQLite. PostgreSQL runs it itself, and VACUUM, which the trigram index needs."""
    kind, *without = request.param.split(maxsplit=1)
    async with empty_database(kind, request.config, tmp_path_factory.mktemp("filled")) as url:
        db = Database.open(url)
        await migrate(db)
        other_rows = [numbered(f"viewer {viewer}", number) for viewer in range(20) for number in range(50)]
        await store(db, *[numbered(VIEWER, number) for number in range(3000)], *other_rows)
        async with db.transaction() as session:
            audit.add_many(session, [read_event(number).model_dump() for number in range(2000)])
        if not without:
            async with db.read() as session:
                await session.execute(text("ANALYZE" if kind == "sqlite" else "VACUUM ANALYZE"))
        yield db
        await db.close()


async def page_plan(
    db: Database,
    ordering: Ordering,
    bounds: Range,
    *,
    filter: AccountFilter = EVERYTHING,
    backward: bool = False,
    total: bool = False,
) -> str:
    page = PageRequest(size=20, backward=backward, after=None, before=None)
    hints = LoadHints(attributes=frozenset({"username"}), total=total)
    first, *_ = await explain(
        db, lambda _: account_queries.fetch_page(db, VIEWER, filter, ordering, page, bounds, hints)
    )
    return first


def assert_runs_through(index: str, plan: str) -> None:
    assert index in plan, plan
    assert "SCAN " not in plan.replace("SCAN CONSTANT ROW", ""), plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


@every_order
@both_ways
@both_ends
async def test_a_page_at_an_end_runs_through_the_index_of_its_order(
    filled: Database, field: AccountOrderField, descending: bool, backward: bool
) -> None:
    ordering = accounts.build_ordering(field, descending=descending)
    plan = await page_plan(filled, ordering, Range(), backward=backward)
    assert_runs_through(INDEXES[field], plan)


@every_order
@both_ways
@both_ends
async def test_a_page_in_the_middle_begins_at_its_cursor(
    filled: Database, field: AccountOrderField, descending: bool, backward: bool
) -> None:
    at = Position(MIDDLE[field], ID)
    bounds = Range(before=at) if backward else Range(after=at)
    ordering = accounts.build_ordering(field, descending=descending)
    plan = await page_plan(filled, ordering, bounds, backward=backward)
    assert_runs_through(INDEXES[field], plan)
    assert plan.count(INDEXES[field]) >= 2  # the same statement looks beyond the cursor
    assert "ROW(" in plan or ")<(" in plan or ")>(" in plan


@pytest.mark.parametrize(
    "field", [AccountOrderField.USERNAME, AccountOrderField.FOLLOWER_COUNT, AccountOrderField.LAST_SYNCED_AT]
)
@both_ways
async def test_accounts_without_a_key_are_a_range_of_the_same_index(
    filled: Database, field: AccountOrderField, descending: bool
) -> None:
    ordering = accounts.build_ordering(field, descending=descending)
    bounds = Range(after=Position(None, ID))
    assert_runs_through(INDEXES[field], await page_plan(filled, ordering, bounds))


@both_ways
async def test_one_status_in_the_default_order_has_an_index(filled: Database, descending: bool) -> None:
    ordering = accounts.build_ordering(AccountOrderField.CREATED_AT, descending=descending)
    expired = AccountFilter(statuses=(AccountStatus.EXPIRED,))
    assert_runs_through("accounts_by_status", await page_plan(filled, ordering, Range(), filter=expired))


async def test_several_statuses_in_the_default_order_need_no_sort(filled: Database) -> None:
    ordering = accounts.build_ordering(AccountOrderField.CREATED_AT, descending=True)
    account_filter = AccountFilter(statuses=(AccountStatus.EXPIRED, AccountStatus.ACTIVE))
    assert_runs_through("accounts_by_created_at", await page_plan(filled, ordering, Range(), filter=account_filter))


async def test_a_search_for_little_finds_it_by_trigrams(filled: Database) -> None:
    """SQLite has no index of trigrams: there, it reads the index of their order, which holds what is searched."""
    ordering = accounts.build_ordering(AccountOrderField.CREATED_AT, descending=True)
    plan = await page_plan(filled, ordering, Range(), filter=AccountFilter(search="user.7919"))
    if filled.engines[0].dialect.name == "sqlite":
        assert_runs_through("accounts_by_created_at", plan)
    else:
        assert "Bitmap Index Scan on accounts_search" in plan, plan


@every_order
async def test_a_count_of_a_search_reads_no_rows_on_sqlite_and_trigrams_on_postgresql(
    filled: Database, field: AccountOrderField
) -> None:
    account_filter = AccountFilter(search="user.7919")
    ordering = accounts.build_ordering(field, descending=True)
    plan = await page_plan(filled, ordering, Range(), filter=account_filter, total=True)
    if filled.engines[0].dialect.name == "sqlite":
        assert INDEXES[field] in plan, plan
        assert "USING COVERING INDEX accounts_by_" in plan, plan
    else:
        assert plan.count("Bitmap Index Scan on accounts_search") == 2, plan


async def test_the_statements_of_the_schedule_use_an_index(filled: Database) -> None:
    [due] = await explain(filled, lambda session: schedule.list_due(session, now=NOON, after=None, limit=100))
    assert "accounts_due" in due, due
    after = ScheduledSync(viewer_id=VIEWER, id=ID, open_id="", next_sync_at=NOON)
    [following] = await explain(filled, lambda session: schedule.list_due(session, now=NOON, after=after, limit=100))
    assert "accounts_due" in following, following
    for plan in await explain(
        filled, lambda session: schedule.list_misscheduled(session, latest=NOON, latest_retry=NOON, limit=100)
    ):
        assert "accounts_due" in plan, plan


async def test_authorizations_that_end_soon_have_an_index(filled: Database) -> None:
    """The joined tokens are missing here."""
    [ending] = await explain(
        filled, lambda session: token_pairs.list_ending(session, before=NOON, issued_before=NOON, after=None, limit=200)
    )
    assert "accounts_that_end" in ending, ending


async def test_batches_are_found_by_their_ids(filled: Database) -> None:
    """A `BatchWriter` names several accounts or results. SQLite uses no index for pairs."""
    keys = [(VIEWER, UUID(int=number)) for number in range(3)]
    [locked] = await explain(filled, lambda session: account_writes.lock(session, keys))
    assert re.search(r"accounts_id_with_viewer|accounts_pkey|SEARCH accounts USING INDEX sqlite_autoindex", locked), (
        locked
    )
    [begun] = await explain(filled, lambda session: sync_jobs.begin_results(session, keys))
    assert "SCAN sync_results" not in begun, begun


async def test_totals_read_stored_totals_and_one_entry_of_an_index(filled: Database) -> None:
    [summarized] = await explain(filled, lambda _: account_totals.summarize(filled, VIEWER))
    assert_runs_through("accounts_by_last_sync", summarized)
    [counted] = await explain(filled, lambda _: account_queries.count(filled, VIEWER, AccountFilter()))
    assert_runs_through("account_totals", counted)
    assert "accounts_by" not in counted


@pytest.mark.parametrize(
    "filter", [EVERYTHING, AccountFilter(statuses=(AccountStatus.EXPIRED,))], ids=["all", "expired"]
)
async def test_a_total_comes_with_its_page_and_counts_no_accounts(filled: Database, filter: AccountFilter) -> None:
    ordering = accounts.build_ordering(AccountOrderField.CREATED_AT, descending=True)
    plan = await page_plan(filled, ordering, Range(), filter=filter, total=True)
    assert "account_totals" in plan
    assert plan.count("accounts_by") == 1


async def test_a_filtered_count_reads_one_viewers_accounts(filled: Database) -> None:
    account_filter = AccountFilter(health=(HealthState.BROKEN,))
    [plan] = await explain(filled, lambda _: account_queries.count(filled, VIEWER, account_filter))
    assert_runs_through("accounts_by_health", plan)


@pytest.mark.parametrize(
    ("filter", "index"),
    [
        (AuditEventFilter(), "audit_events_by_time"),
        (AuditEventFilter(changes_only=True), "audit_events_of_changes"),
        (AuditEventFilter(account_id=ID), "audit_events_by_account"),
        (AuditEventFilter(start=NOON - timedelta(hours=2), end=NOON), "audit_events_by_time"),
        (AuditEventFilter(actions=(AuditAction.ACCOUNTS_LISTED,)), "audit_events_by_time"),
    ],
    ids=["all", "changes", "of an account", "of a time", "of an action"],
)
async def test_audit_events_run_through_an_index(filled: Database, filter: AuditEventFilter, index: str) -> None:
    statement = audit.select_events(VIEWER, filter)

    async def act(session: Session) -> None:
        await select_slice(session, statement, audit.NEWEST_FIRST, Range(), size=20, backward=False)

    [plan] = await explain(filled, act)
    assert_runs_through(index, plan)
