"""`tiktok-accounts demo`, as a process, over HTTP. Seeding takes seconds, so tests share what they only read."""

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.processes import CommandProcess, run, start_command

ACCOUNTS = """
query Accounts($after: String) {
  accounts(first: 50, after: $after, orderBy: { field: CREATED_AT, direction: ASC }) {
    totalCount
    pageInfo { hasNextPage endCursor }
    edges { node { id status displayName lastSyncedAt } }
  }
}
"""
HISTORY = """
query History($id: ID!, $from: DateTime!) {
  account(id: $id) { statsHistory(from: $from) { recordedAt followerCount } growth(days: 365) { followerChange } }
}
"""
SYNC = """
mutation Sync($id: ID!) {
  syncAccount(input: { id: $id }) { success userErrors { code } account { lastSyncedAt status } }
}
"""
DISCONNECT = """
mutation Disconnect($id: ID!) { disconnectAccount(input: { id: $id }) { disconnectedAccountId userErrors { code } } }
"""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A demo that runs, and what it printed."""

    started: CommandProcess
    links: dict[str, Any]

    def ask(self, viewer: str, query: str, *, token: str | None = None, **variables: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.links['tokens'][viewer]}"}
        body = {"query": query, "variables": variables}
        return httpx.post(self.links["endpoint"], json=body, headers=headers, timeout=30)

    def data(self, viewer: str, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        answer = self.ask(viewer, query, token=token, **variables).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def accounts(self, viewer: str, *, token: str | None = None) -> list[dict[str, Any]]:
        """Return all accounts of a viewer, oldest first."""
        accounts: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.data(viewer, ACCOUNTS, token=token, after=after)["accounts"]
            accounts += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                assert page["totalCount"] == len(accounts)
                return accounts
            after = page["pageInfo"]["endCursor"]


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    with start_command(folder, "demo", "--json", "--port", "0", "--data-dir", "data", *options) as running:
        links = json.loads(running.first_line())
        yield Demo(started=running, links=links)


@dataclass(frozen=True, kw_only=True)
class FirstRun:
    """The first start in an empty folder: with the table, used by viewers, ended by Ctrl-C."""

    folder: Path
    start_seconds: float
    counts: dict[str, int]
    table: str
    curl: subprocess.CompletedProcess[str]
    tokens: dict[str, str]
    accounts: list[dict[str, Any]]
    disconnected: str
    exit_code: int
    stderr: str


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    folder = tmp_path_factory.mktemp("first")
    started_at = time.monotonic()
    with start_command(folder, "demo", "--port", "0", "--data-dir", "data") as running:
        table = running.wait_for(lambda lines: lines if "Ctrl-C" in lines else None, running.out)
        start_seconds = time.monotonic() - started_at
        lines = table.splitlines()
        [curl] = [line for line in lines if line.startswith("curl ")]
        curl_result = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=30, check=False)
        tokens = {line.split()[2]: following for line, following in pairwise(lines) if line.startswith("JWT of ")}
        endpoint = next(line.split()[-1] for line in lines if line.startswith("GraphQL "))
        client = Demo(started=running, links={"endpoint": endpoint, "tokens": tokens})
        counts = {viewer: len(client.accounts(viewer)) for viewer in tokens}
        synced, disconnected = client.accounts("bob")[:2]
        assert client.data("bob", SYNC, id=synced["id"])["syncAccount"]["success"]
        assert not client.data("bob", DISCONNECT, id=disconnected["id"])["disconnectAccount"]["userErrors"]
        remaining = client.accounts("bob")
        exit_code = running.end(signal.SIGINT)
        return FirstRun(
            folder=folder,
            start_seconds=start_seconds,
            counts=counts,
            table=table,
            curl=curl_result,
            tokens=tokens,
            accounts=remaining,
            disconnected=disconnected["id"],
            exit_code=exit_code,
            stderr=running.err.read_text(),
        )


@pytest.fixture(scope="module")
def second_run(first_run: FirstRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A second start in the folder of the first."""
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(first_run.folder / "data", folder / "data")
    with demo(folder) as running:
        yield running


@pytest.fixture
def folder(first_run: FirstRun, tmp_path: Path) -> Path:
    """Copy the folder of the first run."""
    shutil.copytree(first_run.folder / "data", tmp_path / "data")
    return tmp_path


def test_the_first_start_takes_seconds(first_run: FirstRun) -> None:
    assert first_run.start_seconds < 40  # 4 s on two idle cores; the rest is for those who test beside other work


def test_alice_has_60_accounts_bob_3_and_carol_none(first_run: FirstRun) -> None:
    assert first_run.counts == {"alice": 60, "bob": 3, "carol": 0}


def test_the_first_line_is_one_json_object_with_all_links(second_run: Demo) -> None:
    assert set(second_run.links) == {"endpoint", "graphiql", "sandbox", "tokens"}
    assert set(second_run.links["tokens"]) == {"alice", "bob", "carol"}
    assert len(second_run.started.out.read_text().splitlines()) == 1


def test_alices_accounts_are_of_all_statuses(second_run: Demo) -> None:
    accounts = second_run.accounts("alice")
    assert len({account["id"] for account in accounts}) == 60
    assert {account["status"] for account in accounts} == {"ACTIVE", "INACTIVE", "EXPIRED"}


def test_the_oldest_account_has_a_history_of_400_days(second_run: Demo) -> None:
    oldest = second_run.accounts("alice")[0]
    since = (datetime.now(UTC) - timedelta(days=399)).replace(hour=0, minute=0, second=0, microsecond=0)
    account = second_run.data("alice", HISTORY, id=oldest["id"], **{"from": since.isoformat()})["account"]
    assert 395 <= len(account["statsHistory"]) <= 400
    assert account["growth"]["followerChange"] is not None


def test_an_account_can_be_synced(second_run: Demo) -> None:
    before = next(account for account in second_run.accounts("alice") if account["status"] == "ACTIVE")
    synced = second_run.data("alice", SYNC, id=before["id"])["syncAccount"]
    assert (synced["success"], synced["userErrors"]) == (True, [])
    assert synced["account"]["lastSyncedAt"] > before["lastSyncedAt"]


def test_a_sync_of_an_expired_account_says_to_reconnect(second_run: Demo) -> None:
    expired = next(account for account in second_run.accounts("alice") if account["status"] == "EXPIRED")
    synced = second_run.data("alice", SYNC, id=expired["id"])["syncAccount"]
    assert [error["code"] for error in synced["userErrors"]] == ["REAUTHORIZATION_REQUIRED"]


def test_the_link_to_graphiql_opens_its_page(second_run: Demo) -> None:
    page = httpx.get(second_run.links["graphiql"], headers={"Accept": "text/html"})
    assert (page.status_code, "GraphiQL" in page.text) == (200, True)


def test_the_table_has_a_curl_line_that_answers(first_run: FirstRun) -> None:
    assert first_run.curl.returncode == 0, first_run.curl.stderr
    answer = json.loads(first_run.curl.stdout)
    assert (answer["data"]["accounts"]["totalCount"], len(answer["data"]["accounts"]["edges"])) == (60, 3)


def test_the_table_has_every_token(first_run: FirstRun) -> None:
    assert set(first_run.tokens) == {"alice", "bob", "carol"}
    assert all(token.count(".") == 2 for token in first_run.tokens.values())


def test_ctrl_c_ends_it_without_a_traceback(first_run: FirstRun) -> None:
    assert first_run.exit_code == 0
    assert "Traceback" not in first_run.stderr


def test_what_it_logs_has_no_colors_in_a_file(first_run: FirstRun) -> None:
    assert "/graphql" in first_run.stderr
    assert "\x1b" not in first_run.stderr


def test_a_second_start_finds_what_the_first_left(first_run: FirstRun, second_run: Demo) -> None:
    assert second_run.accounts("bob", token=first_run.tokens["bob"]) == first_run.accounts
    assert len(second_run.accounts("alice", token=first_run.tokens["alice"])) == 60
    account = first_run.accounts[0]["id"]
    assert second_run.data("bob", SYNC, token=first_run.tokens["bob"], id=account)["syncAccount"]["success"]


@pytest.mark.proof
@pytest.mark.untraced
def test_reset_starts_from_an_empty_folder(first_run: FirstRun, folder: Path) -> None:
    (folder / "data" / "notes.txt").write_text("of another program")
    with demo(folder, "--reset") as restarted:
        accounts = restarted.accounts("bob")
        assert len(accounts) == 3
        assert not {account["id"] for account in accounts} & {account["id"] for account in first_run.accounts}
        assert restarted.ask("bob", "{ viewer { id } }", token=first_run.tokens["bob"]).status_code == 401
    assert (folder / "data" / "notes.txt").read_text() == "of another program"


@pytest.mark.proof
def test_an_interrupted_first_start_is_started_over(tmp_path: Path) -> None:
    database = tmp_path / "data" / "accounts.db"
    with start_command(tmp_path, "demo", "--json", "--port", "0", "--data-dir", "data") as interrupted:
        while _accounts_in(database) < 5:
            assert interrupted.process.poll() is None, interrupted.err.read_text()
            time.sleep(0.02)
        interrupted.end(signal.SIGKILL)
        assert interrupted.out.read_text() == ""
    with demo(tmp_path) as restarted:
        assert len(restarted.accounts("alice")) == 60


def _accounts_in(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_a_busy_port_says_which_option_fixes_it(second_run: Demo, tmp_path: Path) -> None:
    port = httpx.URL(second_run.links["endpoint"]).port
    refused = run(tmp_path, "demo", "--port", str(port), "--data-dir", "data")
    assert refused.returncode == 1
    assert f"Port {port} is not available" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_busy_port_beside_it_says_so_too(tmp_path: Path) -> None:
    """The sandbox takes the next port."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        refused = run(tmp_path, "demo", "--port", str(port - 1), "--data-dir", "data")
    assert refused.returncode == 1
    assert "is not available" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_start_that_is_refused_leaves_the_data_alone(second_run: Demo) -> None:
    port = httpx.URL(second_run.links["endpoint"]).port
    data = second_run.started.out.parent / "data"
    refused = run(data.parent, "demo", "--reset", "--port", str(port), "--data-dir", "data")
    assert refused.returncode == 1
    assert {"accounts.db", "sandbox.db", "secrets.json", "seeded"} <= {file.name for file in data.iterdir()}
    assert len(second_run.accounts("alice")) == 60
