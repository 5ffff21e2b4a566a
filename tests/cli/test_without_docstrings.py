"""`python -OO` takes docstrings and assertions away; nothing that people read depends on them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from uuid import uuid4

import pytest

import tiktok_accounts_gql
from tests.cli.processes import environment, run
from tests.cli.serving import served
from tests.cli.test_serve import own
from tests.support.backends import on_sqlite
from tests.support.sockets import opened
from tiktok_accounts_gql.db.database import Deadlocked, PreparedStatementsLost
from tiktok_accounts_gql.errors import AppError, OperationError, RequestError
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.errors import TikTokError

__all__ = ["own"]  # a fixture

pytestmark = [pytest.mark.unnoted, pytest.mark.proof]
BASES = (AppError, OperationError, RequestError, TikTokError)
SAY_AS_THEIR_BASE = {Deadlocked, PreparedStatementsLost}
MESSAGES = """
import json
from tests.cli.test_without_docstrings import concrete_errors
assert False, "assertions are on"
print(json.dumps({one.__qualname__: one().message for one in concrete_errors()}))
"""


def subclasses(of: type[Exception]) -> Iterator[type[Exception]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def concrete_errors() -> list[type[AppError | TikTokError]]:
    """Those that the whole package can raise."""
    for module in walk_packages(tiktok_accounts_gql.__path__, "tiktok_accounts_gql."):
        if ".migrations" not in module.name:
            import_module(module.name)
    found = [one for base in (AppError, TikTokError) for one in subclasses(base) if one not in BASES]
    return [one for one in found if one.__module__.startswith("tiktok_accounts_gql.")]  # type: ignore[misc]


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")


def test_every_error_has_a_message_of_its_own() -> None:
    without = [one for one in concrete_errors() if "message" not in vars(one) and one not in SAY_AS_THEIR_BASE]
    assert without == []


@pytest.mark.usefixtures("optimised")
def test_every_error_says_the_same_without_docstrings(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", MESSAGES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(root)),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {one.__qualname__: one().message for one in concrete_errors()}


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--help",), id="help"),
        pytest.param(("serve", "--help"), id="help-of-a-command"),
        pytest.param(("schema", "print"), id="contract"),
        pytest.param(("docs", "errors"), id="reference-of-errors"),
        pytest.param(("docs", "configuration"), id="reference-of-settings"),
        pytest.param(("serve",), id="refusal-of-settings"),
    ],
)
def test_a_command_prints_the_same_without_docstrings(arguments: tuple[str, ...], tmp_path: Path) -> None:
    without = run(tmp_path, *arguments)
    del os.environ["PYTHONOPTIMIZE"]  # which the fixture puts back
    usual = run(tmp_path, *arguments)
    assert (without.returncode, without.stdout, without.stderr) == (usual.returncode, usual.stdout, usual.stderr)


@on_sqlite
@pytest.mark.usefixtures("optimised")
async def test_answers_say_what_is_wrong_without_docstrings(own: Settings, viewer: str, tmp_path: Path) -> None:
    async with served(tmp_path, own, viewer) as (_, api):
        connected = await api.data(
            'mutation { connectAccount(input: { state: "none", code: "c" }) { userErrors { message } } }'
        )
        [mistake] = connected["connectAccount"]["userErrors"]
        assert mistake["message"] == "The authorization is unknown, was used, or belongs to another user. Start again."
        large = await api.post("{ __typename }" + " " * 70_000)
        assert large.json()["errors"][0]["message"] == "The request's body is larger than 64 KiB."
        typed = await api.http.post("/graphql", content="{}", headers={"Authorization": f"Bearer {api.token}"})
        assert typed.json()["errors"][0]["message"].startswith("POST a JSON object")
        watched = f'subscription {{ syncJobUpdated(id: "{ids.encode(ids.NodeKind.SYNC_JOB, uuid4())}") {{ state }} }}'
        parts = await api.post(watched, Accept="multipart/mixed;subscriptionSpec=1.0, application/json")
        assert parts.json()["errors"][0]["message"] == "There is no such sync job."
        async with opened(api) as socket:
            await socket.send(type="connection_init")
            assert await socket.closed() == (4403, "payload.Authorization: A bearer token is required.")
