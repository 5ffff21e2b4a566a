"""Accounts for a demo: connected as users connect them, over HTTP; only their past is written into the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx

from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import accounts, connection_attempts, snapshots
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.sandbox.webhooks import RemovalReason
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running

ACCOUNTS_PER_VIEWER = {"alice": 60, "bob": 3, "carol": 0}
CONNECTED_OPEN_ID = "demo-alice-000"  # shown on the consent page as an account that is connected already
VIEWER_WITH_PAST = "alice"
HISTORY_DAYS = 400
FEWER_DAYS_PER_ACCOUNT = 6
EXPIRED_EVERY = 9  # every ninth account
INACTIVE_EVERY = 13
FEWER_SCOPES_EVERY = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAccount:
    """An account to connect."""

    viewer: Viewer
    number: int
    open_id: str

    @property
    def scopes(self) -> str | None:
        """Scopes that the user grants; None for all that the server asks for."""
        return "user.info.basic" if self.is_every(FEWER_SCOPES_EVERY) else None

    def is_every(self, count: int) -> bool:
        """Return whether this is the last of each `count` accounts of its viewer."""
        return self.number % count == count - 1


class DemoSeeder:
    """Fills an empty database."""

    def __init__(self, running: Running, sandbox: Sandbox) -> None:
        self._running = running
        self._sandbox = sandbox
        self._now = utc_now()

    async def seed(self) -> None:
        async with httpx.AsyncClient(verify=get_ssl_context()) as browser:
            for planned in _plan_accounts():
                account = await self._connect(browser, planned)
                if planned.viewer.id == VIEWER_WITH_PAST:
                    await self._write_past(account, planned)
                    await self._end_authorization(account, planned)

    async def _connect(self, browser: httpx.AsyncClient, planned: PlannedAccount) -> Account:
        """Connect an account as a browser does: by our start page to the consent page, and back with a code."""
        services = self._running.services
        started = await services.authorizations.start(planned.viewer, return_to=None, account_id=None)
        state = httpx.URL(started.authorization_url).params["state"]
        consent_url = await services.start_pages.confirm(state, "the demo's")
        consent = {"sandbox_user": planned.open_id, **({"sandbox_scopes": planned.scopes} if planned.scopes else {})}
        response = await browser.get(httpx.URL(consent_url).copy_merge_params(consent))
        parameters = dict(parse_qsl(urlsplit(response.headers["location"]).query))
        callback = Callback(state=parameters["state"], code=parameters["code"])
        account = (await services.authorizations.finish(callback, planned.viewer)).unwrap().account
        async with (
            self._running.db.transaction() as session
        ):  # a viewer may start fewer attempts a minute than this does
            await connection_attempts.delete_before(session, planned.viewer.id, self._now + timedelta(days=1))
        return account

    async def _write_past(self, account: Account, planned: PlannedAccount) -> None:
        days = HISTORY_DAYS - planned.number * FEWER_DAYS_PER_ACCOUNT
        connected_at = self._now - timedelta(days=days, minutes=planned.number)
        times = [self._now - timedelta(days=day) for day in range(days, 0, -1)]
        async with self._running.db.transaction() as session:
            await accounts.change(
                session, account.viewer_id, account.id, created_at=connected_at, connected_at=connected_at
            )
            if account.follower_count is not None:
                snapshots.add_many(session, [_create_snapshot(account, time) for time in times])

    async def _end_authorization(self, account: Account, planned: PlannedAccount) -> None:
        """End some authorizations at TikTok. The server learns of it by its next sync, or by TikTok's webhook."""
        if planned.is_every(EXPIRED_EVERY):
            self._sandbox.state.revoke_grant(planned.open_id)
            await self._running.services.syncing.sync(planned.viewer, account.id)
        elif planned.is_every(INACTIVE_EVERY):
            self._sandbox.state.revoke_grant(planned.open_id)
            await self._running.services.removals.remove(planned.open_id, RemovalReason.DISCONNECTED_BY_USER, utc_now())


def _plan_accounts() -> Iterator[PlannedAccount]:
    for viewer_id, count in ACCOUNTS_PER_VIEWER.items():
        for number in range(count):
            open_id = f"demo-{viewer_id}-{number:03}"
            yield PlannedAccount(viewer=Viewer(id=viewer_id), number=number, open_id=open_id)


def _create_snapshot(account: Account, time: datetime) -> Snapshot:
    counters = SandboxUser.of(account.open_id).counters_at(time.timestamp())
    return Snapshot(
        viewer_id=account.viewer_id,
        account_id=account.id,
        recorded_at=time,
        hour=snapshots.hour_of(time),
        follower_count=counters.follower_count,
        following_count=counters.following_count,
        likes_count=counters.likes_count,
        video_count=counters.video_count,
    )
