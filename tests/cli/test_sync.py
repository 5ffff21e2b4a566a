"""`tiktok-accounts sync`: a job in the terminal."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.serving import environment_variables
from tests.support.backends import on_postgresql, on_sqlite
from tests.support.tiktok import TikTok
from tests.support.worked import server_url
from tiktok_accounts_gql.settings import Settings

pytestmark = [pytest.mark.untraced, pytest.mark.proof]

__all__ = ["server_url"]

COMMAND = str(Path(sys.executable).parent / "tiktok-accounts")


async def sync(settings: Settings, *options: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    environment = {**os.environ, **environment_variables(settings), "COLUMNS": "100"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(COMMAND, "sync", *options, env=environment, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@on_postgresql
async def test_a_servers_worker_does_the_work_and_the_terminal_shows_it(
    server_url: str, settings: Settings, tiktok: TikTok, viewer: str
) -> None:
    assert server_url
    accounts = [await tiktok.connect(viewer) for _ in range(3)]
    tiktok.sandbox.state.revoke_grant(accounts[1].open_id)
    code, out, err = await sync(settings, "--viewer", viewer)
    assert code == 1, err
    assert "PARTIALLY_FAILED: 2 of 3 accounts read, 1 failed." in out
    assert "REAUTHORIZATION_REQUIRED" in out
    assert accounts[1].display_name in out
    assert "Traceback" not in err
    code, out, _ = await sync(settings, "--viewer", viewer, "--json")
    summary = json.loads(out)
    assert (code, summary["state"], summary["total"], summary["succeeded"]) == (0, "SUCCEEDED", 2, 2)
    code, out, _ = await sync(settings, "--viewer", viewer, "--all", "--json")
    assert (code, json.loads(out)["total"]) == (1, 3)


async def test_with_work_no_server_is_needed(settings: Settings, tiktok: TikTok, viewer: str) -> None:
    await tiktok.connect(viewer)
    code, out, err = await sync(settings, "--viewer", viewer, "--work", "--json")
    assert code == 0, err
    assert json.loads(out)["succeeded"] == 1
    assert err == ""


@on_sqlite
async def test_a_viewer_without_accounts_has_nothing_to_do(settings: Settings, tiktok: TikTok, viewer: str) -> None:
    del tiktok
    code, out, _ = await sync(settings, "--viewer", viewer, "--json")
    assert (code, json.loads(out)["state"]) == (0, "SUCCEEDED")
