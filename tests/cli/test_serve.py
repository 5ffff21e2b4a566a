"""`tiktok-accounts serve`, as a process: both databases, workers, and an end by SIGTERM that no request notices."""

import asyncio
import signal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.cli.processes import run
from tests.cli.serving import environment_variables, requests_in, run_server
from tests.support.backends import on_postgresql, on_sqlite
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import open_services

pytestmark = pytest.mark.untraced

READ = "query Read { accounts { totalCount edges { node { displayName } } } }"
SYNC = "mutation Sync($id: ID!) { syncAccount(input: { id: $id }) { success } }"


async def connect(sandbox: Sandbox, settings: Settings, viewer: str) -> tuple[TikTok, str]:
    """Connect an account whose next sync takes a second; return TikTok and the account's id."""
    async with open_services(settings) as running:
        tiktok = TikTok(sandbox=sandbox, settings=settings, running=running)
        account = await tiktok.connect(viewer)
    tiktok.fail(USER_INFO_PATH, account, delay_seconds=1, passthrough=True)
    return tiktok, ids.encode(ids.NodeKind.ACCOUNT, account.id)


async def test_a_query_with_a_token_is_answered(production_settings: Settings, viewer: str, tmp_path: Path) -> None:
    async with run_server(tmp_path, production_settings, viewer) as (server, api):
        assert await api.data("{ accounts { totalCount } }") == {"accounts": {"totalCount": 0}}
        assert (await api.http.get("/readyz")).status_code == 200
        assert server.end(signal.SIGINT) == 0


async def test_sigterm_cuts_no_request_off(
    production_settings: Settings, sandbox: Sandbox, viewer: str, tmp_path: Path
) -> None:
    _, account = await connect(sandbox, production_settings, viewer)
    async with run_server(tmp_path, production_settings, viewer) as (server, api):
        answered: dict[str, httpx.Response] = {}

        async def read() -> None:
            while True:
                request_id = uuid4().hex
                try:
                    answered[request_id] = await api.post(READ, X_Request_ID=request_id)
                except httpx.TransportError:  # the server has stopped listening
                    return

        syncing = asyncio.create_task(api.post(SYNC, {"id": account}, X_Request_ID="the-sync"))
        reading = [asyncio.create_task(read()) for _ in range(8)]
        await asyncio.sleep(0.4)
        assert not syncing.done()
        assert await asyncio.to_thread(server.end, signal.SIGTERM, seconds=20) == 0
        answered["the-sync"] = await syncing
        await asyncio.gather(*reading)
    assert answered["the-sync"].json()["data"] == {"syncAccount": {"success": True}}
    assert len(answered) > 8
    assert {answer.status_code for answer in answered.values()} == {200}
    assert all("errors" not in answer.json() for answer in answered.values())
    accepted = requests_in(server.err)
    assert {line["request_id"] for line in accepted} == answered.keys()
    assert "Traceback" not in server.err.read_text()


@on_sqlite
async def test_a_line_of_log_tells_of_each_request_and_never_a_token(
    production_settings: Settings, sandbox: Sandbox, viewer: str, tmp_path: Path
) -> None:
    tiktok, account = await connect(sandbox, production_settings, viewer)
    async with run_server(tmp_path, production_settings, viewer) as (server, api):
        await api.post(READ, X_Request_ID="first")
        await api.post(SYNC, {"id": account}, X_Request_ID="second")
        await api.http.get("/graphql", params={"token": api.token}, headers={"Authorization": f"Bearer {api.token}x"})
        server.end(signal.SIGTERM)
    first, second, third = requests_in(server.err)
    assert (first["request_id"], first["viewer"], first["operation"], first["status"]) == ("first", viewer, "Read", 200)
    assert (second["request_id"], second["operation"]) == ("second", "Sync")
    assert 1000 < second["duration_ms"] < 20_000
    assert (third["status"], third.get("viewer")) == (401, None)
    log = server.err.read_text()
    grants = [
        tiktok.sandbox.state.find_grant(call.open_id) for call in tiktok.sandbox.state.list_calls() if call.open_id
    ]
    secrets = {value for grant in grants if grant for value in (grant.access_token, grant.refresh_token)}
    assert secrets
    secrets |= {
        environment_variables(production_settings)[PREFIX + name]
        for name in ("JWT_SECRET", "ENCRYPTION_KEYS", "TIKTOK_CLIENT_SECRET")
    }
    assert [secret for secret in {api.token, *secrets} if secret in log] == []


@on_sqlite
async def test_a_file_is_for_one_process(production_settings: Settings, tmp_path: Path) -> None:
    refused = run(tmp_path, "serve", "--workers", "2", env=environment_variables(production_settings))
    assert (refused.returncode, "SQLite" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)


@on_postgresql
@pytest.mark.proof
async def test_two_workers_serve_and_end_at_sigterm(production_settings: Settings, viewer: str, tmp_path: Path) -> None:
    async with run_server(tmp_path, production_settings, viewer, "--workers", "2") as (server, api):
        answers = await asyncio.gather(*(api.post(READ) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        server.wait_for(lambda lines: lines if lines.count("Application startup complete.") == 2 else None, server.err)
        assert await asyncio.to_thread(server.end, signal.SIGTERM, seconds=20) == 0
    assert len(requests_in(server.err)) == 20
    assert server.err.read_text().count("Finished server process") == 2


def test_it_runs_on_uvloop_and_httptools(settings: Settings) -> None:
    config = uvicorn.Config(create_app(settings), **server_options(settings))
    config.load()
    assert config.get_loop_factory() is uvloop.new_event_loop
    assert issubclass(config.http_protocol_class, HttpToolsProtocol)
