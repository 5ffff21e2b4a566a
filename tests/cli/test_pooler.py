"""PgBouncer before 1.21, as Debian has it, in front of PostgreSQL: what works, and what is reported where it does not.

Only where the program is: a pooler is no Python package. `scripts/need.sh pgbouncer` installs it, as `make test` does.
"""

import shutil
from pathlib import Path

import pytest

from tests.cli.processes import run
from tests.cli.serving import environment_variables, run_server
from tests.support.backends import on_postgresql
from tests.support.pgbouncer import run_pgbouncer
from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.doctor.checks import run_checks
from tiktok_accounts_gql.doctor.results import CheckState
from tiktok_accounts_gql.settings import Settings

pytestmark = [
    pytest.mark.proof,
    pytest.mark.untraced,
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="Debian's package pgbouncer is not installed"),
]
FIX = "Let ACCOUNTS_DATABASE_URL name PostgreSQL itself, or set the pooler's pool_mode to session."


def with_database_url(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": url, "environment": "production"})


@on_postgresql
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_doctor_and_serve_say_how_to_fix_it(own_settings: Settings, tmp_path: Path, mode: str) -> None:
    with run_pgbouncer(own_settings.database_url, tmp_path, mode=mode) as url:
        settings = with_database_url(own_settings, url)
        for _ in range(2):  # the pooler is new, and then it is not
            database = {check.name: check.finding for check in await run_checks(settings)}["Database"]
            assert (database.state, database.fix) == (CheckState.FAILED, FIX)
            assert "prepared statements" in database.message
        result = run(tmp_path, "serve" if mode == "transaction" else "worker", env=environment_variables(settings))
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
        assert FIX in result.stderr


@on_postgresql
async def test_session_mode_serves(own_settings: Settings, viewer: str, tmp_path: Path) -> None:
    with run_pgbouncer(own_settings.database_url, tmp_path, mode="session") as url:
        settings = with_database_url(own_settings, url)
        assert {check.name: check.finding for check in await run_checks(settings)}["Database"].state is CheckState.OK
        async with run_server(tmp_path, settings, viewer) as (_, api):
            for _ in range(3):
                assert await api.data("{ accounts { totalCount } }") == {"accounts": {"totalCount": 0}}


@on_postgresql
async def test_a_start_that_fails_says_why_in_one_line(own_settings: Settings, tmp_path: Path) -> None:
    """Of the application alone, as any ASGI server runs it."""
    with run_pgbouncer(own_settings.database_url, tmp_path, mode="statement") as url:
        app = create_app(with_database_url(own_settings, url))
        sent: list[dict[str, str]] = []

        async def receive() -> dict[str, str]:
            return {"type": "lifespan.startup"}

        async def send(message: dict[str, str]) -> None:
            sent.append(message)

        with pytest.raises(Exception, match="pool_mode"):
            await app({"type": "lifespan", "state": {}}, receive, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert sent[0]["message"].endswith(FIX)
    assert "\n" not in sent[0]["message"]
