"""The demo's accounts: connected through the real path, over HTTP; only their past is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx

from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import accounts, connection_attempts, snapshots
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tls import trusted
from tiktok_accounts_gql.wiring import Running

VIEWERS = {"alice": 60, "bob": 3, "carol": 0}
ALREADY_CONNECTED = "demo-alice-000"
HISTORY_DAYS = 400
WITHDRAWN_BY_USER = 1
EXPIRED_EVERY = 9
INACTIVE_EVERY = 13
FEWER_SCOPES_EVERY = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One account to be."""

    viewer: Viewer
    number: int
    open_id: str

    @property
    def scopes(self) -> str | None:
        """None for all that are asked for."""
        return "user.info.basic" if self.number % FEWER_SCOPES_EVERY == FEWER_SCOPES_EVERY - 1 else None


class Seeder:
    """Fills an empty database."""

    def __init__(self, running: Running, sandbox: Sandbox) -> None:
        self._running = running
        self._sandbox = sandbox
        self._now = datetime.now(UTC)

    async def seed(self) -> None:
        async with httpx.AsyncClient(verify=trusted()) as browser:
            for planned in _plan():
                account = await self._connect(browser, planned)
                if planned.viewer.id == "alice":
                    await self._write_past(account, planned)
                    await self._break(account, planned)

    async def _connect(self, browser: httpx.AsyncClient, planned: Planned) -> Account:
        """As a browser would: over our page to the consent page, and back with a code."""
        services = self._running.services
        authorizations = services.authorizations
        started = await authorizations.start(planned.viewer, return_to=None, account_id=None)
        consent = {"sandbox_user": planned.open_id, **({"sandbox_scopes": planned.scopes} if planned.scopes else {})}
        state = httpx.URL(started.authorization_url).params["state"]
        consent_url = await services.start_pages.confirm(state, "the demo's")
        answer = await browser.get(httpx.URL(consent_url).copy_merge_params(consent))
        brought = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        callback = Callback(state=brought["state"], code=brought["code"])
        account = (await authorizations.finish(callback, planned.viewer)).unwrap().account
        await self._forget_attempts(planned.viewer)
        return account

    async def _forget_attempts(self, viewer: Viewer) -> None:
        """Else the viewer has started as many as one may in a minute, long before all accounts are there."""
        async with self._running.db.transaction() as session:
            await connection_attempts.forget_before(session, viewer.id, self._now + timedelta(days=1))

    async def _write_past(self, account: Account, planned: Planned) -> None:
        days = HISTORY_DAYS - planned.number * 6
        began = self._now - timedelta(days=days, minutes=planned.number)
        times = [self._now - timedelta(days=day) for day in range(days, 0, -1)]
        async with self._running.db.transaction() as session:
            await accounts.change(session, account.viewer_id, account.id, created_at=began, connected_at=began)
            if account.follower_count is not None:
                snapshots.add_many(session, [_snapshot(account, time) for time in times])

    async def _break(self, account: Account, planned: Planned) -> None:
        """Some authorizations end at TikTok; the next sync, or TikTok itself, tells us."""
        if planned.number % EXPIRED_EVERY == EXPIRED_EVERY - 1:
            self._sandbox.state.revoke_grant(planned.open_id)
            await self._running.services.syncing.sync(planned.viewer, account.id)
        elif planned.number % INACTIVE_EVERY == INACTIVE_EVERY - 1:
            self._sandbox.state.revoke_grant(planned.open_id)
            await self._running.services.removals.remove(planned.open_id, WITHDRAWN_BY_USER, utc_now())


def _plan() -> Iterator[Planned]:
    for name, count in VIEWERS.items():
        for number in range(count):
            yield Planned(viewer=Viewer(id=name), number=number, open_id=f"demo-{name}-{number:03}")


def _snapshot(account: Account, time: datetime) -> Snapshot:
    user = SandboxUser.of(account.open_id).at(time.timestamp())
    return Snapshot(
        viewer_id=account.viewer_id,
        account_id=account.id,
        recorded_at=time,
        hour=snapshots.hour_of(time),
        follower_count=user.follower_count,
        following_count=user.following_count,
        likes_count=user.likes_count,
        video_count=user.video_count,
    )
