"""Every statement about a viewer's rows names the viewer, whatever the services do."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.statements import Statements, counted_statements
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.audit import AuditEventFilter
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, TokenPair
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.history import StatsGranularity
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import open_services

pytestmark = pytest.mark.untraced

Act = Callable[[TikTok, Viewer, Account], Awaitable[Any]]

OWNED = "accounts|account_totals|token_pairs|snapshots|audit_events|idempotency_keys|owed_revocations|connection_attempts|avatars"
USES = re.compile(rf"\b(?:FROM|UPDATE) (?:{OWNED})\b")
NAMES_VIEWER = re.compile(r"\bviewer_id (?:=|IN) ")

# The exceptions: what TikTok tells about an account, whoever has it; schedules that work for everybody; and
# what is found by a secret that stands for its viewer, a `state` or a picture's link.
OF_ALL_VIEWERS = (
    re.compile(r"FROM accounts WHERE accounts.open_id = \S+ AND accounts.disconnected_at IS NULL$"),
    re.compile(
        r"^UPDATE owed_revocations SET next_attempt_at=[^,]+, given_up_at=.* WHERE owed_revocations.id IN \(SELECT"
    ),
    re.compile(r"FROM owed_revocations WHERE \(?EXISTS \(SELECT accounts.id .* AND accounts.open_id = "),
    re.compile(r"FROM accounts WHERE accounts.disconnected_at IS NULL AND accounts.status = 'ACTIVE' AND "),
    re.compile(r"FROM accounts JOIN token_pairs ON \S+ = \S+ WHERE .* accounts.reauthorize_by <= "),
    re.compile(r"FROM connection_attempts WHERE connection_attempts.state_hash = \S+$"),
    re.compile(r"FROM avatars JOIN accounts ON .* AND avatars.content_hash = "),
)


def page(**values: Any) -> PageRequest:
    return PageRequest.of(**{"first": None, "after": None, "last": None, "before": None, **values})


async def list_accounts(tiktok: TikTok, viewer: Viewer, _account: Account) -> None:
    await tiktok.connect(viewer.id)
    services = tiktok.running.services.accounts
    account_filter = AccountFilter(statuses=(AccountStatus.ACTIVE,), search="a")
    for field in AccountOrderField:
        order = AccountOrder(field=field)
        cursor = (await services.list(viewer, page(first=1), AccountFilter(), order)).page_info.end_cursor
        await services.list(viewer, page(first=1, after=cursor), AccountFilter(), order)
        await services.list(viewer, page(last=1, before=cursor), account_filter, order)
    await services.count(viewer, account_filter)


async def read_accounts(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    services = tiktok.running.services.accounts
    await services.summarize(viewer)
    await services.read(viewer, [account.id])


async def sync(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    tiktok.sandbox.state.expire_access_token(account.open_id)
    assert (await tiktok.running.services.syncing.sync(viewer, account.id)).error is None


async def fail_to_sync(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    tiktok.fail(USER_INFO_PATH, account, status=500)
    assert (await tiktok.running.services.syncing.sync(viewer, account.id)).error is not None
    tiktok.sandbox.state.revoke_grant(account.open_id)
    assert (await tiktok.running.services.syncing.sync(viewer, account.id)).account.status is AccountStatus.EXPIRED


async def read_history(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    history = tiktok.running.services.history
    await history.list_points(viewer, [account.id], history.build_period(None, None, StatsGranularity.DAY))
    await history.list_growth(viewer, [account.id], 7)


async def read_audit(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    audit = tiktok.running.services.audit
    now = account.created_at
    event_filter = AuditEventFilter(
        actions=(AuditAction.ACCOUNT_CONNECTED,), changes_only=True, account_id=account.id, start=now, end=now
    )
    events = await audit.list(viewer, page(first=1), AuditEventFilter())
    await audit.list(viewer, page(first=1, after=events.page_info.end_cursor), event_filter)
    await audit.read(viewer, [edge.node.id for edge in events.edges])


async def disconnect_and_connect_again(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    await tiktok.running.services.accounts.disconnect(viewer, account.id, "key")
    await tiktok.running.services.accounts.disconnect(viewer, account.id, "key")
    assert (await tiktok.connected(viewer.id, account.open_id)).reconnected
    assert (await tiktok.connected(viewer.id, account.open_id)).reconnected


async def retry_revocations(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    tiktok.fail(REVOKE_PATH, account, status=503)
    await tiktok.running.services.accounts.disconnect(viewer, account.id, None)
    await tiktok.running.revocations.process_due()


async def remove(tiktok: TikTok, _viewer: Viewer, account: Account) -> None:
    await tiktok.running.services.removals.remove(account.open_id, 1, utc_now())


async def authorize(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    authorizations = tiktok.running.services.authorizations
    started = await authorizations.start(viewer, return_to=None, account_id=account.id)
    state = parse_qs(urlsplit(started.authorization_url).query)["state"][0]
    browser = "of this test"
    await tiktok.running.services.start_pages.get(state, browser)
    await tiktok.running.services.start_pages.confirm(state, browser)
    callback = Callback(state=state, code=await tiktok.code(account.open_id))
    assert (await authorizations.finish(callback, browser=browser)).connected is not None
    assert (await authorizations.finish(callback, browser=browser)).connected is not None
    denied = Callback(state=state, error="access_denied")
    assert (await authorizations.finish(denied, browser=browser)).error is not None


async def refresh_ending_grants(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    async with open_services(tiktok.settings, clock=lambda: utc_now() + timedelta(days=179)) as later:
        assert await later.tokens.refresh_expiring()
    del viewer, account


async def run_schedule(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    """Run the schedule ten days later, when all is due, and ten days earlier, when all lies too far ahead."""
    del viewer, account
    for shift in (timedelta(days=10), -timedelta(days=10)):
        clock = partial(lambda moved: utc_now() + moved, shift)
        async with open_services(tiktok.settings, clock=clock) as shifted:
            await shifted.schedule.enqueue_due()


async def show_picture(tiktok: TikTok, viewer: Viewer, account: Account) -> None:
    assert account.avatar_hash is not None
    assert await tiktok.running.services.avatars.find(account.id, account.avatar_hash) is not None
    del viewer


ACTS = [
    authorize,
    refresh_ending_grants,
    show_picture,
    list_accounts,
    read_accounts,
    sync,
    fail_to_sync,
    read_history,
    read_audit,
    disconnect_and_connect_again,
    retry_revocations,
    run_schedule,
    remove,
]


async def sent_by(act: Act, tiktok: TikTok, viewer: str) -> Statements:
    with counted_statements() as statements:
        account = await tiktok.connect(viewer)
        await act(tiktok, Viewer(id=viewer), account)
    return Statements(" ".join(statement.split()) for statement in statements)


def is_of_all_viewers(statement: str) -> bool:
    return any(exception.search(statement) for exception in OF_ALL_VIEWERS)


@pytest.mark.parametrize("act", ACTS)
async def test_every_statement_names_the_viewer_for_each_table_it_uses(act: Act, tiktok: TikTok, viewer: str) -> None:
    statements = await sent_by(act, tiktok, viewer)
    checked = [text for text in statements if USES.search(text) and not is_of_all_viewers(text)]
    assert checked
    for statement in checked:
        conditions = statement.partition(" WHERE ")[2]
        assert len(NAMES_VIEWER.findall(conditions)) >= len(USES.findall(statement)), statement


@pytest.mark.parametrize("act", ACTS)
async def test_no_statement_about_accounts_names_a_token(act: Act, tiktok: TikTok, viewer: str) -> None:
    about_accounts = [text for text in await sent_by(act, tiktok, viewer) if re.search(r"\baccounts\b", text)]
    assert about_accounts
    secrets = {"access_token", "refresh_token"} & set(TokenPair.model_fields)
    assert len(secrets) == 2
    for statement in about_accounts:
        assert not any(re.search(rf"\b{secret}\b", statement) for secret in secrets), statement


async def test_each_exception_is_a_statement_that_is_sent(tiktok: TikTok, viewer: str) -> None:
    acts = (remove, retry_revocations, run_schedule, authorize, refresh_ending_grants, show_picture)
    sent = [statement for act in acts for statement in await sent_by(act, tiktok, viewer)]
    for exception in OF_ALL_VIEWERS:
        assert any(exception.search(statement) for statement in sent), exception.pattern


async def test_a_page_costs_one_statement_and_its_event(tiktok: TikTok, viewer: str) -> None:
    await tiktok.connect(viewer)
    with counted_statements() as statements:
        await tiktok.running.services.accounts.list(Viewer(id=viewer), page(first=1), AccountFilter(), AccountOrder())
    assert statements.reads_of("accounts") == 1
    assert statements.writes_of("audit_events") == 1
