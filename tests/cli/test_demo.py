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

from tests.cli.processes import Started, run, started

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

    started: Started
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
        """All of them, oldest first."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.data(viewer, ACCOUNTS, token=token, after=after)["accounts"]
            found += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                assert page["totalCount"] == len(found)
                return found
            after = page["pageInfo"]["endCursor"]


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    with started(folder, "demo", "--json", "--port", "0", "--data-dir", "data", *options) as running:
        links = json.loads(running.first_line())
        yield Demo(started=running, links=links)


@dataclass(frozen=True, kw_only=True)
class Past:
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
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    folder = tmp_path_factory.mktemp("past")
    began = time.monotonic()
    with started(folder, "demo", "--port", "0", "--data-dir", "data") as running:
        table = running.wait_for(lambda lines: lines if "Ctrl-C" in lines else None, running.out)
        start_seconds = time.monotonic() - began
        lines = table.splitlines()
        [curl] = [line for line in lines if line.startswith("curl ")]
        tried = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=30, check=False)
        tokens = {line.split()[2]: following for line, following in pairwise(lines) if line.startswith("JWT of ")}
        endpoint = next(line.split()[-1] for line in lines if line.startswith("GraphQL "))
        used = Demo(started=running, links={"endpoint": endpoint, "tokens": tokens})
        counts = {viewer: len(used.accounts(viewer)) for viewer in tokens}
        synced, disconnected = used.accounts("bob")[:2]
        assert used.data("bob", SYNC, id=synced["id"])["syncAccount"]["success"]
        assert not used.data("bob", DISCONNECT, id=disconnected["id"])["disconnectAccount"]["userErrors"]
        left = used.accounts("bob")
        exit_code = running.end(signal.SIGINT)
        return Past(
            folder=folder,
            start_seconds=start_seconds,
            counts=counts,
            table=table,
            curl=tried,
            tokens=tokens,
            accounts=left,
            disconnected=disconnected["id"],
            exit_code=exit_code,
            stderr=running.err.read_text(),
        )


@pytest.fixture(scope="module")
def again(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The second start."""
    folder = tmp_path_factory.mktemp("again")
    shutil.copytree(past.folder / "data", folder / "data")
    with demo(folder) as running:
        yield running


@pytest.fixture
def folder(past: Past, tmp_path: Path) -> Path:
    """A copy of what the past demo left."""
    shutil.copytree(past.folder / "data", tmp_path / "data")
    return tmp_path


def test_the_first_start_takes_seconds(past: Past) -> None:
    assert past.start_seconds < 40  # 4 s on two idle cores; the rest is for those who test beside other work


def test_alice_has_60_accounts_bob_3_and_carol_none(past: Past) -> None:
    assert past.counts == {"alice": 60, "bob": 3, "carol": 0}


def test_the_first_line_is_one_json_object_with_all_links(again: Demo) -> None:
    assert set(again.links) == {"endpoint", "graphiql", "sandbox", "tokens"}
    assert set(again.links["tokens"]) == {"alice", "bob", "carol"}
    assert len(again.started.out.read_text().splitlines()) == 1


def test_alices_accounts_are_of_all_statuses(again: Demo) -> None:
    accounts = again.accounts("alice")
    assert len({account["id"] for account in accounts}) == 60
    assert {account["status"] for account in accounts} == {"ACTIVE", "INACTIVE", "EXPIRED"}


def test_the_oldest_account_has_a_history_of_400_days(again: Demo) -> None:
    oldest = again.accounts("alice")[0]
    since = (datetime.now(UTC) - timedelta(days=399)).replace(hour=0, minute=0, second=0, microsecond=0)
    account = again.data("alice", HISTORY, id=oldest["id"], **{"from": since.isoformat()})["account"]
    assert 395 <= len(account["statsHistory"]) <= 400
    assert account["growth"]["followerChange"] is not None


def test_an_account_can_be_synced(again: Demo) -> None:
    before = next(account for account in again.accounts("alice") if account["status"] == "ACTIVE")
    synced = again.data("alice", SYNC, id=before["id"])["syncAccount"]
    assert (synced["success"], synced["userErrors"]) == (True, [])
    assert synced["account"]["lastSyncedAt"] > before["lastSyncedAt"]


def test_a_sync_of_an_expired_account_says_to_reconnect(again: Demo) -> None:
    expired = next(account for account in again.accounts("alice") if account["status"] == "EXPIRED")
    synced = again.data("alice", SYNC, id=expired["id"])["syncAccount"]
    assert [error["code"] for error in synced["userErrors"]] == ["REAUTHORIZATION_REQUIRED"]


def test_the_link_to_graphiql_opens_its_page(again: Demo) -> None:
    page = httpx.get(again.links["graphiql"], headers={"Accept": "text/html"})
    assert (page.status_code, "GraphiQL" in page.text) == (200, True)


def test_the_table_has_a_curl_line_that_answers(past: Past) -> None:
    assert past.curl.returncode == 0, past.curl.stderr
    answer = json.loads(past.curl.stdout)
    assert (answer["data"]["accounts"]["totalCount"], len(answer["data"]["accounts"]["edges"])) == (60, 3)


def test_the_table_has_every_token(past: Past) -> None:
    assert set(past.tokens) == {"alice", "bob", "carol"}
    assert all(token.count(".") == 2 for token in past.tokens.values())


def test_ctrl_c_ends_it_without_a_traceback(past: Past) -> None:
    assert past.exit_code == 0
    assert "Traceback" not in past.stderr


def test_what_it_logs_has_no_colors_where_nobody_would_see_them(past: Past) -> None:
    assert "/graphql" in past.stderr
    assert "\x1b" not in past.stderr


def test_a_second_start_finds_what_the_first_left(past: Past, again: Demo) -> None:
    assert again.accounts("bob", token=past.tokens["bob"]) == past.accounts
    assert len(again.accounts("alice", token=past.tokens["alice"])) == 60
    account = past.accounts[0]["id"]
    assert again.data("bob", SYNC, token=past.tokens["bob"], id=account)["syncAccount"]["success"]


@pytest.mark.unnoted
def test_reset_begins_anew(past: Past, folder: Path) -> None:
    (folder / "data" / "notes.txt").write_text("of somebody else")
    with demo(folder, "--reset") as anew:
        accounts = anew.accounts("bob")
        assert len(accounts) == 3
        assert not {account["id"] for account in accounts} & {account["id"] for account in past.accounts}
        assert anew.ask("bob", "{ viewer { id } }", token=past.tokens["bob"]).status_code == 401
    assert (folder / "data" / "notes.txt").read_text() == "of somebody else"


@pytest.mark.proof
def test_an_interrupted_first_start_begins_anew(tmp_path: Path) -> None:
    database = tmp_path / "data" / "accounts.db"
    with started(tmp_path, "demo", "--json", "--port", "0", "--data-dir", "data") as interrupted:
        while _accounts_in(database) < 5:
            assert interrupted.process.poll() is None, interrupted.err.read_text()
            time.sleep(0.02)
        interrupted.end(signal.SIGKILL)
        assert interrupted.out.read_text() == ""
    with demo(tmp_path) as anew:
        assert len(anew.accounts("alice")) == 60


def _accounts_in(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_a_busy_port_says_which_option_mends_it(again: Demo, tmp_path: Path) -> None:
    port = httpx.URL(again.links["endpoint"]).port
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


def test_a_start_that_is_refused_leaves_the_data_alone(again: Demo) -> None:
    port = httpx.URL(again.links["endpoint"]).port
    data = again.started.out.parent / "data"
    refused = run(data.parent, "demo", "--reset", "--port", str(port), "--data-dir", "data")
    assert refused.returncode == 1
    assert {"accounts.db", "sandbox.db", "secrets.json", "seeded"} <= {file.name for file in data.iterdir()}
    assert len(again.accounts("alice")) == 60
