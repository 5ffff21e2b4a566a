"""No secret shows: not in the database's files, not in logs, not in the audit, not in answers."""

import io
import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

import pytest
import structlog
from sqlalchemy import select, update
from sqlmodel import col

from tests.connecting import stored
from tests.connecting.traces import find_traces, read_database
from tests.support.rows import account as account_row
from tests.support.rows import store
from tests.support.server import Api
from tests.support.tiktok import CLIENT_SECRET, TikTok
from tiktok_accounts_gql.db.models import Account, PendingRevocation, TokenPair
from tiktok_accounts_gql.errors import AuthorizationCodeInvalid, TokensUnreadable
from tiktok_accounts_gql.logs import QUIET_LOGGERS, configure_logs
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.connections import CodeExchange
from tiktok_accounts_gql.services.sync.jobs import ListedAccounts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

SYNC = """
mutation Sync($id: ID!) {
  syncAccount(input: { id: $id }) { success account { status lastError } userErrors { code message } }
}
"""
DISCONNECT = (
    'mutation D($id: ID!) { disconnectAccount(input: { id: $id, idempotencyKey: "once" }) { userErrors { code } } }'
)
EVERYTHING = """
{
  accounts { edges { cursor node {
    id tiktokUserId username displayName avatarUrl bioDescription profileUrl status grantedScopes missingScopes
    tokenExpiresAt reauthorizeBy lastError health { reason }
  } } }
  auditEvents(first: 50) { edges { cursor node { id action requestId ipAddress details { name value previousValue } } } }
}
"""
ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "upper case hex": lambda secret: secret.encode().hex().upper(),
    "base64": lambda secret: b64encode(secret.encode()).decode(),
    "base64 of something longer": lambda secret: b64encode(f'{{"a":"{secret}"}}'.encode()).decode(),
    "base64url of something longer": lambda secret: urlsafe_b64encode(f"?ÿÿ{secret}?".encode()).decode(),
    "URL-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded": lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
}


@pytest.fixture
def log_output() -> Iterator[io.StringIO]:
    """What a server in production writes; logging is afterwards as it was before."""
    root, output = logging.getLogger(), io.StringIO()
    handlers, level, quiet = (
        root.handlers[:],
        root.level,
        {name: logging.getLogger(name).level for name in QUIET_LOGGERS},
    )
    configuration = structlog.get_config()
    root.handlers[:] = []
    with redirect_stderr(output):
        configure_logs("production", level=logging.DEBUG)
    yield output
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**configuration)


@dataclass(frozen=True, kw_only=True)
class Life:
    """One account's, with every secret that ever belonged to it and every byte that the API answered."""

    api: Api
    tiktok: TikTok
    secrets: set[str] = field(default_factory=lambda: {CLIENT_SECRET})
    answers: list[bytes] = field(default_factory=list)

    def note(self, account: Account) -> None:
        grant = self.tiktok.sandbox.state.find_grant(account.open_id)
        assert grant is not None
        self.secrets.update((grant.access_token, grant.refresh_token))

    async def connect(self, open_id: str) -> Account:
        code = await self.tiktok.code(open_id)
        self.secrets.add(code)
        connections, viewer = self.tiktok.running.services.connections, Viewer(id=self.api.viewer)
        connected = await connections.connect(viewer, CodeExchange(code=code, redirect_uri=self.tiktok.redirect_uri))
        with pytest.raises(AuthorizationCodeInvalid):
            await connections.connect(viewer, CodeExchange(code=code, redirect_uri=self.tiktok.redirect_uri))
        self.note(connected.account)
        return connected.account

    async def ask(self, document: str, account: Account | None = None) -> None:
        variables = {"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)} if account else {}
        answer = await self.api.post(document, variables)
        assert answer.status_code == 200
        self.answers.append(answer.content)

    async def sync(self, account: Account) -> None:
        await self.ask(SYNC, account)
        self.note(account)

    def echo(self, path: str, account: Account, status: int, code: str) -> None:
        """TikTok repeats in its next error whatever it knows."""
        told = " ".join(self.secrets)
        body = {"error": code, "error_description": told}
        if path == USER_INFO_PATH:
            body = {"data": {}, "error": {"code": code, "message": told}}  # type: ignore[dict-item]
        self.tiktok.fail(path, account, status=status, body=json.dumps(body).encode())


async def lived(api: Api, tiktok: TikTok, running: Running) -> Life:
    """Connected, synced, renewed, failed in every way, broken, disconnected while TikTok was down, settled."""
    life = Life(api=api, tiktok=tiktok)
    account = await life.connect(f"user-of-{api.viewer}")
    await life.sync(account)
    for status, code in ((400, "invalid_params"), (401, "scope_not_authorized"), (500, "internal_error"), (429, "x")):
        life.echo(USER_INFO_PATH, account, status, code)
        await life.sync(account)
    for status, code in ((401, "invalid_client"), (500, "server_error"), (400, "invalid_request"), (200, "x")):
        tiktok.sandbox.state.expire_access_token(account.open_id)
        life.echo(TOKEN_PATH, account, status, code)
        await life.sync(account)
    await life.sync(account)
    account = await life.connect(account.open_id)
    job = await running.services.jobs.start(Viewer(id=api.viewer), ListedAccounts(ids=(account.id,)), None)
    await running.job_runner.fan_out(api.viewer, str(job.job.id))
    await life.ask(EVERYTHING)
    await exchange_seals(running, account, await life.connect(f"other-of-{api.viewer}"))
    await life.sync(account)  # fails: no sealed value opens in another row
    account = await life.connect(account.open_id)
    life.echo(REVOKE_PATH, account, 503, "server_error")
    await life.ask(DISCONNECT, account)
    async with running.db.read() as session:
        [owed] = await session.scalars(select(PendingRevocation).where(col(PendingRevocation.account_id) == account.id))
    life.echo(REVOKE_PATH, account, 500, "server_error")
    await running.revocations.process(owed)
    owed.access_token_expires_at -= timedelta(days=1)
    life.echo(TOKEN_PATH, account, 500, "server_error")
    await running.revocations.process(owed)
    await life.ask(EVERYTHING)
    return life


async def exchange_seals(running: Running, account: Account, other: Account) -> None:
    """Somebody with access to the database copies another account's tokens."""
    async with running.db.transaction() as session:
        [theirs] = await session.scalars(select(TokenPair).where(col(TokenPair.account_id) == other.id))
        copied = {"access_token": theirs.access_token, "refresh_token": theirs.refresh_token}
        await session.execute(update(TokenPair).where(col(TokenPair.account_id) == account.id).values(**copied))


async def test_no_secret_shows_anywhere(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, log_output: io.StringIO
) -> None:
    life = await lived(api, tiktok, running)
    assert len(life.secrets) >= 12
    database = await read_database(running, settings)
    audited = json.dumps([event.details for event in await stored.events(running, api.viewer)])
    logged, answered = log_output.getvalue(), b"\n".join(life.answers)
    assert find_traces(life.secrets, database) == set()
    assert find_traces(life.secrets, audited.encode()) == set()
    assert find_traces(life.secrets, logged.encode()) == set()
    assert find_traces(life.secrets, answered) == set()
    assert b"sync an account of a job" in database  # the job tables are among what was searched
    assert api.viewer.encode() in database  # what was searched are the places where things are
    assert "TOKEN_REFRESH_FAILED" in await stored.actions(running, api.viewer)
    assert "revocation pending" in logged
    assert "tokens unreadable" in logged
    assert b"The stored tokens of this account cannot be opened." in answered
    assert b"grantedScopes" in answered


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
async def test_a_secret_that_did_show_would_be_found(
    running: Running, settings: Settings, viewer: str, log_output: io.StringIO, encode: Callable[[str], str]
) -> None:
    secret = f"act.{viewer[-24:]}-_~/é"
    assert find_traces([secret], await read_database(running, settings)) == set()
    structlog.get_logger().warning("planted", token=encode(secret))
    [row] = await store(running.db, account_row(viewer, last_error=f"It is {encode(secret)}."))
    sealed = TokenPair(
        account_id=row.id,
        viewer_id=viewer,
        access_token=b"\x00" + encode(secret[::-1]).encode(),
        issued_at=row.updated_at,
        expires_at=row.updated_at,
    )
    async with running.db.transaction() as session:
        session.add(sealed)
    assert find_traces([secret], log_output.getvalue().encode()) == {secret}
    assert find_traces([secret, secret[::-1]], await read_database(running, settings)) == {secret, secret[::-1]}


async def test_a_sealed_value_copied_to_another_row_does_not_open(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    mine, theirs = await tiktok.connect(viewer), await tiktok.connect(f"another-{viewer}")
    await exchange_seals(running, mine, theirs)
    before = tiktok.user_infos(theirs.open_id)
    synced = await running.services.syncing.sync(Viewer(id=viewer), mine.id)
    assert isinstance(synced.error, TokensUnreadable)
    assert tiktok.user_infos(theirs.open_id) == before
    assert (await running.services.syncing.sync(Viewer(id=theirs.viewer_id), theirs.id)).error is None
