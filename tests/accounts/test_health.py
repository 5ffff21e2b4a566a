"""How well an account works: every failure on the wire leads to the state that the table of `services/health.py` says."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.connecting import flows, stored
from tests.support import rows
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthAction, HealthReason, HealthState
from tiktok_accounts_gql.errors import TikTokRateLimited
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.health import HEALTH_AFTER, SCOPES_MISSING, Health, HealthEvent
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

HEALTH = """
query Health($id: ID!) {
  account(id: $id) { status lastError health { state reason since action nextRetryAt consecutiveFailures } }
}
"""
LIST = """
query List($filter: AccountFilter, $first: Int, $after: String) {
  accounts(filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    edges { node { displayName health { state action } } }
  }
}
"""
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FOREVER = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Of the table in the docstring, in its words."""

    state: str
    reason: str | None
    action: str
    retried: bool
    status: str

    @classmethod
    def of(cls, health: Health) -> "Row":
        return cls(
            state=health.state,
            reason=health.reason,
            action=health.action,
            retried=health.is_retried,
            status=health.status,
        )

    @classmethod
    def stored(cls, account: Account) -> "Row":
        return cls(
            state=account.health_state,
            reason=account.health_reason,
            action=account.health_action,
            retried=account.next_retry_at is not None,
            status=account.status,
        )


def table() -> dict[str, Row]:
    lines = [line for line in (health.__doc__ or "").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {
        what: Row(state=state, reason=reason or None, action=action, retried=retried == "yes", status=status)
        for what, state, reason, action, retried, status in cells
    }


TABLE = table()


async def sync(running: Running, account: Account) -> SyncedAccount:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def seen(api: Api, account: Account) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.data(HEALTH, id=ids.encode(ids.NodeKind.ACCOUNT, account.id)))["account"]
    return answer


def test_the_table_of_the_docstring_is_what_the_code_says() -> None:
    assert {name: row for name, row in TABLE.items() if "," not in name} == {
        outcome.name: Row.of(after) for outcome, after in HEALTH_AFTER.items()
    }
    assert TABLE["WORKED, scopes missing"] == Row.of(SCOPES_MISSING)
    assert HEALTH_AFTER.keys() == set(HealthEvent)
    assert {row.reason for row in TABLE.values()} == {None, *HealthReason}
    assert {row.action for row in TABLE.values()} == set(HealthAction)


ON_THE_WIRE: list[tuple[str, str, dict[str, Any]]] = [
    ("RATE_LIMITED", USER_INFO_PATH, {"status": 429, "error": "rate_limit_exceeded"}),
    ("RATE_LIMITED", USER_INFO_PATH, {"status": 200, "error": "rate_limit_exceeded"}),
    ("RATE_LIMITED", USER_INFO_PATH, {"status": 429}),
    ("UNAVAILABLE", USER_INFO_PATH, {"status": 500, "error": "internal_error"}),
    ("UNAVAILABLE", USER_INFO_PATH, {"status": 200, "error": "internal_error"}),
    ("UNAVAILABLE", USER_INFO_PATH, {"status": 503, "body": b"<html>busy</html>"}),
    ("UNREADABLE", USER_INFO_PATH, {"status": 200, "body": b"<html>"}),
    ("UNREADABLE", USER_INFO_PATH, {"status": 200, "body": b'{"data":'}),
    ("UNAVAILABLE", USER_INFO_PATH, {"drop": True}),
    ("UNAVAILABLE", USER_INFO_PATH, {"delay_seconds": 1, "passthrough": True}),
    ("UNAVAILABLE", USER_INFO_PATH, {"status": 401, "error": "access_token_invalid", "times": 2}),
    ("WORKED", USER_INFO_PATH, {"status": 401, "error": "access_token_invalid"}),
    ("SCOPE_MISSING", USER_INFO_PATH, {"status": 401, "error": "scope_not_authorized", "times": None}),
    ("SCOPE_MISSING", USER_INFO_PATH, {"status": 400, "error": "scope_permission_missed", "times": None}),
    ("WORKED", USER_INFO_PATH, {"status": 401, "error": "scope_not_authorized"}),
    ("WORKED", USER_INFO_PATH, {"status": 401, "body": b"<html>"}),
    ("REFUSED", USER_INFO_PATH, {"status": 400, "error": "invalid_params"}),
    ("REFUSED", USER_INFO_PATH, {"status": 400, "error": "something_new"}),
    ("TOKEN_EXPIRED", TOKEN_PATH, {"status": 400, "error": "invalid_grant"}),
    ("MISCONFIGURED", TOKEN_PATH, {"status": 401, "error": "invalid_client"}),
    ("MISCONFIGURED", TOKEN_PATH, {"status": 400, "error": "unauthorized_client"}),
    ("UNAVAILABLE", TOKEN_PATH, {"status": 500, "error": "server_error"}),
    ("UNAVAILABLE", TOKEN_PATH, {"status": 503, "error": "temporarily_unavailable"}),
    ("UNAVAILABLE", TOKEN_PATH, {"delay_seconds": 1, "passthrough": True}),
    ("UNAVAILABLE", TOKEN_PATH, {"drop": True}),
    ("RATE_LIMITED", TOKEN_PATH, {"status": 429, "error": "rate_limit_exceeded"}),
    ("REFUSED", TOKEN_PATH, {"status": 400, "error": "invalid_request"}),
    ("REFUSED", TOKEN_PATH, {"status": 400, "error": "unsupported_grant_type"}),
]


@pytest_asyncio.fixture(scope="module")
async def impatient(settings: Settings) -> AsyncGenerator[Running]:
    """Services for which TikTok is soon too slow."""
    async with open_services(settings.model_copy(update={"tiktok_timeout_seconds": 0.4})) as running:
        yield running


@pytest.mark.parametrize(("outcome", "path", "fault"), ON_THE_WIRE, ids=lambda value: str(value)[:60])
async def test_what_tiktok_answers_leads_to_the_row_of_the_table(
    api: Api, tiktok: TikTok, impatient: Running, outcome: str, path: str, fault: dict[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    if path == TOKEN_PATH:
        tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(path, account, **fault)
    synced = await sync(impatient, account)
    [kept] = await stored.accounts(impatient, api.viewer)
    assert Row.stored(kept) == TABLE[outcome]
    assert (synced.error is None) == (outcome == "WORKED")
    shown = await seen(api, account)
    assert (shown["health"]["state"], shown["status"]) == (TABLE[outcome].state, TABLE[outcome].status)
    assert shown["health"]["consecutiveFailures"] == (outcome != "WORKED")


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [(0, "USER_REVOKED"), (1, "USER_REVOKED"), (5, "USER_REVOKED"), (99, "USER_REVOKED")]
    + [(number, "ACCOUNT_CLOSED") for number in (2, 3, 4)],
)
async def test_what_tiktok_removes_leads_to_the_row_of_the_table(
    api: Api, tiktok: TikTok, running: Running, reason: int, outcome: str
) -> None:
    account = await tiktok.connect(api.viewer)
    await running.services.removals.remove(account.open_id, reason, utc_now())
    [kept] = await stored.accounts(running, api.viewer)
    assert Row.stored(kept) == TABLE[outcome]
    assert kept.last_error
    assert (await seen(api, account))["health"]["action"] == "RECONNECT"


async def test_connecting_leads_to_the_row_of_the_table(tiktok: TikTok, running: Running, viewer: str) -> None:
    assert Row.stored(await tiktok.connect(viewer)) == TABLE["WORKED"]
    fewer = await tiktok.connect(viewer, scopes="user.info.basic")
    assert Row.stored(fewer) == TABLE["WORKED, scopes missing"]
    assert Row.stored((await sync(running, fewer)).account) == TABLE["WORKED, scopes missing"]


# The backoff


def failing(failures: int, **values: Any) -> Account:
    """An account after so many failures."""
    return rows.account("viewer", consecutive_failures=failures, **values)


def waits(failures: int, outcome: HealthEvent = HealthEvent.UNAVAILABLE) -> list[timedelta]:
    """Many draws of how long after the next failure the next try is."""
    before = failing(failures - 1)
    retries = [health.columns_after_event(before, outcome, NOW)["next_retry_at"] for _ in range(300)]
    return [retry_at - NOW for retry_at in retries if retry_at]


@pytest.mark.parametrize("failures", range(1, 9))
def test_the_backoff_doubles_and_half_of_it_is_chance(failures: int) -> None:
    longest = timedelta(minutes=2 ** (failures - 1))
    drawn = waits(failures)
    assert longest / 2 <= min(drawn) < longest * 0.55
    assert longest * 0.95 < max(drawn) <= longest


@pytest.mark.parametrize("failures", [10, 20, 1_000_000])
def test_the_backoff_is_six_hours_at_most(failures: int) -> None:
    drawn = waits(failures)
    assert min(drawn) >= timedelta(hours=3)
    assert max(drawn) <= timedelta(hours=6)


@pytest.mark.parametrize("outcome", HealthEvent)
def test_only_what_passes_by_itself_is_retried(outcome: HealthEvent) -> None:
    after = health.columns_after_event(failing(0), outcome, NOW)
    assert (after["next_retry_at"] is not None) == TABLE[outcome.name].retried


@pytest.mark.parametrize(("retry_after", "honoured"), [(36_000, True), (1, False), (None, False)])
def test_retry_after_is_honoured_if_it_is_longer(retry_after: int | None, honoured: bool) -> None:
    after = health.columns_after_failed_sync(failing(0), TikTokRateLimited(retry_after_seconds=retry_after), NOW)
    assert after["next_retry_at"] is not None
    waiting = after["next_retry_at"] - NOW
    assert waiting == timedelta(seconds=36_000) if honoured else waiting <= timedelta(minutes=1)


async def test_retry_after_on_the_wire_sets_the_next_try(tiktok: TikTok, running: Running, viewer: str) -> None:
    account, before = await tiktok.connect(viewer), utc_now()
    headers = {"Retry-After": "40000"}
    tiktok.fail(USER_INFO_PATH, account, status=429, error="rate_limit_exceeded", headers=headers)
    failed = (await sync(running, account)).account
    assert failed.next_retry_at is not None
    assert timedelta(seconds=40_000) <= failed.next_retry_at - before < timedelta(seconds=40_030)


# What changes when


async def test_since_changes_with_the_state_and_failures_are_counted(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    connected = await seen(api, account)
    faults: list[dict[str, Any]] = [
        {"status": 503},
        {"status": 429, "error": "rate_limit_exceeded"},
        {"status": 400, "error": "x"},
    ]
    sinces, counted, reasons = [], [], []
    for fault in faults:
        tiktok.fail(USER_INFO_PATH, account, **fault)
        await sync(running, account)
        shown = (await seen(api, account))["health"]
        sinces.append(shown["since"])
        counted.append(shown["consecutiveFailures"])
        reasons.append(shown["reason"])
    assert counted == [1, 2, 3]
    assert reasons == ["TIKTOK_UNAVAILABLE", "RATE_LIMITED", "TIKTOK_UNAVAILABLE"]
    assert len(set(sinces)) == 1
    assert sinces[0] > connected["health"]["since"]
    for _ in range(2):
        await sync(running, account)
        well = await seen(api, account)
        assert (well["health"]["state"], well["health"]["consecutiveFailures"]) == ("HEALTHY", 0)
        assert (well["health"]["nextRetryAt"], well["lastError"]) == (None, None)
        sinces.append(well["health"]["since"])
    assert sinces[-1] == sinces[-2] > sinces[0]


async def test_no_number_of_passing_failures_makes_an_account_anything_but_active(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    passing = [(path, fault) for outcome, path, fault in ON_THE_WIRE if TABLE[outcome].state == "DEGRADED"]
    quick = [(path, {**fault, "times": 1}) for path, fault in passing if "delay_seconds" not in fault]
    for path, fault in quick:
        if path == TOKEN_PATH:
            tiktok.sandbox.state.expire_access_token(account.open_id)
        tiktok.fail(path, account, **fault)
        await sync(running, account)
        assert (await stored.accounts(running, api.viewer))[0].status == "ACTIVE"
    assert (await sync(running, account)).error is None


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 429, "error": "rate_limit_exceeded"}, {"status": 401, "error": "invalid_client"}],
    ids=str,
)
async def test_what_expired_stays_expired_whatever_fails_later(
    api: Api, tiktok: TikTok, running: Running, fault: dict[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, status=400, error="invalid_grant")
    broken = (await sync(running, account)).account
    tiktok.fail(TOKEN_PATH, account, **fault)
    later = (await sync(running, account)).account
    assert Row.stored(broken) == Row.stored(later) == TABLE["TOKEN_EXPIRED"]
    assert (later.health_since, later.consecutive_failures) == (broken.health_since, 2)


@pytest.mark.parametrize("outcome", [HealthEvent.TOKEN_EXPIRED, HealthEvent.USER_REVOKED, HealthEvent.ACCOUNT_CLOSED])
@pytest.mark.parametrize("later", HealthEvent)
def test_no_later_failure_changes_what_is_broken(outcome: HealthEvent, later: HealthEvent) -> None:
    broken = failing(3, health_state=HealthState.BROKEN, health_reason=HEALTH_AFTER[outcome].reason)
    assert health.columns_after_event(broken, later, NOW) == {"consecutive_failures": 4}


async def test_only_tiktoks_own_word_says_more_about_what_is_broken(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.revoke_grant(account.open_id)
    assert Row.stored((await sync(running, account)).account) == TABLE["TOKEN_EXPIRED"]
    await running.services.removals.remove(account.open_id, 4, utc_now())
    [closed] = await stored.accounts(running, viewer)
    assert Row.stored(closed) == TABLE["ACCOUNT_CLOSED"]


@pytest.mark.parametrize("reason", [1, 2])
async def test_connecting_again_clears_everything(api: Api, tiktok: TikTok, running: Running, reason: int) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, status=503)
    await sync(running, account)
    await running.services.removals.remove(account.open_id, reason, utc_now())
    await sync(running, account)
    [broken] = await stored.accounts(running, api.viewer)
    assert (broken.health_state, broken.consecutive_failures) == ("BROKEN", 2)
    answer = await flows.connect(api, await flows.authorize(api, account.open_id))
    assert flows.error_codes(answer) == []
    [well] = await stored.accounts(running, api.viewer)
    assert Row.stored(well) == TABLE["WORKED"]
    assert (well.consecutive_failures, well.last_error) == (0, None)
    assert well.health_since == well.connected_at > broken.health_since


# Lists and totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Many accounts of one viewer, in every state."""

    api: Api
    accounts: list[Account]

    def names(self, wanted: Callable[[Account], bool]) -> list[str]:
        return [one.display_name for one in self.accounts if wanted(one)]

    async def listed(self, where: dict[str, Any], *, size: int = FOREVER) -> list[str]:
        """Through all pages."""
        names: list[str] = []
        after = None
        while True:
            page = (await self.api.data(LIST, filter=where, first=size, after=after))["accounts"]
            names += [edge["node"]["displayName"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                assert page["totalCount"] == len(names)
                return names
            after = page["pageInfo"]["endCursor"]


@pytest.fixture
async def mixture(api: Api, running: Running) -> Mixture:
    """Newest first, five of each row of the table."""
    kinds = [*HEALTH_AFTER.values(), SCOPES_MISSING]
    accounts = [
        rows.account(
            api.viewer,
            number,
            display_name=f"{'Even' if number % 2 else 'Odd'} {number:03}",
            status=kinds[number % len(kinds)].status,
            health_state=kinds[number % len(kinds)].state,
            health_reason=kinds[number % len(kinds)].reason,
            health_action=kinds[number % len(kinds)].action,
        )
        for number in range(5 * len(kinds))
    ]
    gone = rows.account(
        api.viewer,
        999,
        health_state=HealthState.BROKEN,
        health_action=HealthAction.RECONNECT,
        disconnected_at=rows.NOON,
    )
    await rows.store(running.db, *accounts, gone, rows.account(f"another-{uuid4().hex}"))
    return Mixture(api=api, accounts=accounts)


@pytest.mark.parametrize("state", HealthState)
async def test_accounts_are_found_by_their_health(mixture: Mixture, state: HealthState) -> None:
    expected = mixture.names(lambda one: one.health_state is state)
    assert expected
    assert await mixture.listed({"health": [state]}) == expected
    assert await mixture.listed({"health": [state]}, size=3) == expected


@pytest.mark.parametrize("action", HealthAction)
async def test_accounts_are_found_by_what_has_to_be_done(mixture: Mixture, action: HealthAction) -> None:
    expected = mixture.names(lambda one: one.health_action is action)
    assert expected
    assert await mixture.listed({"action": [action]}) == expected
    assert await mixture.listed({"action": [action]}, size=2) == expected


async def test_an_empty_filter_is_none_and_several_values_are_any_of_them(mixture: Mixture) -> None:
    assert await mixture.listed({"health": [], "action": []}) == mixture.names(lambda one: True)
    two = {HealthState.DEGRADED, HealthState.BROKEN}
    assert await mixture.listed({"health": list(two)}, size=7) == mixture.names(lambda one: one.health_state in two)


async def test_health_action_status_and_search_hold_together(mixture: Mixture) -> None:
    where = {"health": ["BROKEN"], "action": ["RECONNECT", "WAIT"], "status": ["INACTIVE"], "search": "even"}
    expected = mixture.names(lambda one: one.status is AccountStatus.INACTIVE and one.display_name.startswith("Even"))
    assert expected
    assert await mixture.listed(where, size=2) == expected
    assert await mixture.listed({**where, "health": ["HEALTHY"]}) == []


async def test_an_unknown_state_is_refused(api: Api) -> None:
    for where in ("health: [WELL]", 'action: ["WAIT"]'):
        error = await api.error(f"{{ accounts(filter: {{ {where} }}) {{ totalCount }} }}")
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_the_summary_counts_what_needs_the_user(mixture: Mixture) -> None:
    summary = (await mixture.api.data("{ accountsSummary { accountsNeedingAction totalAccounts } }"))["accountsSummary"]
    needing = mixture.names(lambda one: one.health_action in ("RECONNECT", "GRANT_SCOPES"))
    assert summary == {"accountsNeedingAction": len(needing), "totalAccounts": len(mixture.accounts)}
