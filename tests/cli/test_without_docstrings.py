"""`python -OO` removes docstrings and assertions; no message depends on them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.error_classes import list_error_classes
from tests.cli.processes import create_environment, run
from tests.cli.serving import run_server
from tests.support.backends import on_sqlite
from tests.support.sockets import opened
from tiktok_accounts_gql.db.errors import Deadlocked, PreparedStatementsLost
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings

pytestmark = [pytest.mark.untraced, pytest.mark.proof]
MESSAGE_OF_BASE = {Deadlocked, PreparedStatementsLost}
MESSAGES = """
import json
from tests.cli.error_classes import list_error_classes
assert False, "assertions are on"
print(json.dumps({error.__qualname__: error().message for error in list_error_classes()}))
"""


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the processes that a test starts with `python -OO`."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")


def test_every_error_has_a_message_of_its_own() -> None:
    without = [error for error in list_error_classes() if "message" not in vars(error)]
    assert set(without) <= MESSAGE_OF_BASE


@pytest.mark.usefixtures("optimised")
def test_every_error_says_the_same_without_docstrings(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", MESSAGES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=create_environment(PYTHONPATH=str(root)),
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {error.__qualname__: error().message for error in list_error_classes()}


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
async def test_answers_say_what_is_wrong_without_docstrings(
    production_settings: Settings, viewer: str, tmp_path: Path
) -> None:
    async with run_server(tmp_path, production_settings, viewer) as (_, api):
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
