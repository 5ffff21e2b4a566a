"""Commands that end by themselves: what they print, what they refuse, and how they say to fix it."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from tiktok_accounts_gql.cli.main import app
from tiktok_accounts_gql.cli.reference import build_configuration_page, build_errors_page
from tiktok_accounts_gql.schema.build import print_contract
from tiktok_accounts_gql.settings import PREFIX, Settings

CONTRACT = Path(__file__).parents[2] / "schema.graphql"
VALID_SETTINGS = {
    "DATABASE_URL": "sqlite:///accounts.db",
    "JWT_SECRET": "s" * 32,
    "JWT_ISSUER": "issuer",
    "JWT_AUDIENCE": "audience",
    "ENCRYPTION_KEYS": "A" * 43 + "=",
    "TIKTOK_CLIENT_KEY": "key",
    "TIKTOK_CLIENT_SECRET": "secret",
    "PUBLIC_URL": "https://accounts.example.com",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove settings from the environment, and leave a folder that may have a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


@pytest.fixture
def valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALID_SETTINGS.items():
        monkeypatch.setenv(PREFIX + name, value)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_message(result: Result, code: int) -> str:
    """Return what the command wrote to stderr, which is never a traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stderr


def walk(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, *path, name)


TREE = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    command = TREE[path]
    assert command.help
    assert [option.name for option in command.params if option.name != "help" and not option.help] == []
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert command.help.split(".")[0].split()[0] in result.stdout


def test_the_help_does_not_import_what_commands_need() -> None:
    code = "import sys, tiktok_accounts_gql.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"dbos", "httpx", "pydantic", "sqlalchemy", "starlette", "strawberry", "uvicorn"}.isdisjoint(modules)


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    for name in ("serve", "demo", "sandbox", "migrate", "token", "schema", "docs"):
        assert name in result.output


async def test_a_token_is_accepted_by_the_api(
    monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient, settings: Settings, viewer: str
) -> None:
    assert settings.jwt_secret is not None
    jwt_settings = {
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "JWT_ISSUER": settings.jwt_issuer,
        "JWT_AUDIENCE": settings.jwt_audience,
    }
    for name, value in {**VALID_SETTINGS, **jwt_settings}.items():
        monkeypatch.setenv(PREFIX + name, value)
    result = run("token", "--viewer", viewer, "--expires", "30m")
    headers = {"Authorization": f"Bearer {result.stdout.strip()}"}
    answer = await http.post("/graphql", json={"query": "{ viewer { userId } }"}, headers=headers)
    assert answer.json()["data"] == {"viewer": {"userId": viewer}}


def test_with_a_jwks_url_tokens_come_from_elsewhere(valid_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{PREFIX}JWT_SECRET")
    monkeypatch.setenv(f"{PREFIX}JWT_JWKS_URL", "https://issuer.test/jwks")
    result = run("token", "--viewer", "alice")
    assert "ACCOUNTS_JWT_SECRET is not set" in error_message(result, 1)
    assert result.stdout == ""


@pytest.mark.parametrize("lifetime", ["", "1", "h", "1 h", "-1h", "1w", "1.5h", "1h30m", "9999999d"])
def test_a_lifetime_that_is_none_is_refused(valid_settings: None, lifetime: str) -> None:
    assert "--expires" in error_message(run("token", "--viewer", "alice", "--expires", lifetime), 2)


def test_the_printed_contract_is_the_committed_one() -> None:
    assert run("schema", "print").stdout == CONTRACT.read_text() == print_contract()


def test_the_contract_is_checked_against_a_file(tmp_path: Path) -> None:
    assert run("schema", "check", CONTRACT).exit_code == 0
    other = tmp_path / "other.graphql"
    other.write_text(CONTRACT.read_text() + "\n")
    assert "differs from the code" in error_message(run("schema", "check", other), 1)
    assert "does not exist" in error_message(run("schema", "check", "missing.graphql"), 2)


@pytest.mark.parametrize(("name", "page"), [("configuration", build_configuration_page), ("errors", build_errors_page)])
def test_the_reference_pages_are_printed(name: str, page: Any) -> None:
    assert run("docs", name).stdout == page()


def test_an_empty_database_is_migrated_and_a_second_time_nothing_happens(valid_settings: None) -> None:
    for _ in range(2):
        assert "up to date" in run("migrate").stdout
    with closing(sqlite3.connect("accounts.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"accounts", "snapshots", "audit_events"} <= tables


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize("url", ["sqlite:///missing/accounts.db", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_that_is_down_is_reported(
    valid_settings: None, monkeypatch: pytest.MonkeyPatch, url: str, command: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    assert "The database does not answer." in error_message(run(command), 1)


def test_serve_refuses_a_database_without_its_tables(valid_settings: None) -> None:
    assert "Run: tiktok-accounts migrate" in error_message(run("serve"), 1)


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["token", "--viewer", "alice"]], ids=lambda args: args[0])
def test_every_missing_setting_is_named_with_how_to_fix_it(command: list[str]) -> None:
    message = error_message(run(*command), 1)
    for name in VALID_SETTINGS.keys() - {"JWT_SECRET"}:
        assert f"{PREFIX}{name} is missing. " in message
    assert "openssl rand -base64 32" in message


def test_a_setting_that_is_wrong_is_named_without_its_value(
    valid_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}JWT_SECRET", "short-secret")
    message = error_message(run("serve"), 1)
    assert "ACCOUNTS_JWT_SECRET is weak" in message
    assert "short-secret" not in message
