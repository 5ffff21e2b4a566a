"""Commands that end by themselves: what they print, what they refuse, and how they say it is mended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from tiktok_accounts_gql.cli import app
from tiktok_accounts_gql.cli.reference import build_configuration_page, build_errors_page
from tiktok_accounts_gql.schema.build import print_contract
from tiktok_accounts_gql.settings import PREFIX, Settings

CONTRACT = Path(__file__).parents[2] / "schema.graphql"
GOOD = {
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
    """Neither of the environment nor of a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(PREFIX + name, value)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(result: Result, code: int) -> str:
    """What the command said to whoever reads its errors; never a traceback."""
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
    shown = run(*path, "--help")
    assert shown.exit_code == 0
    assert command.help.split(".")[0].split()[0] in shown.stdout


def test_without_a_command_the_help_is_shown() -> None:
    shown = run()
    for name in ("serve", "demo", "sandbox", "migrate", "token", "schema", "docs"):
        assert name in shown.output


async def test_a_token_is_accepted_by_the_api(
    monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient, settings: Settings, viewer: str
) -> None:
    assert settings.jwt_secret is not None
    own = {
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "JWT_ISSUER": settings.jwt_issuer,
        "JWT_AUDIENCE": settings.jwt_audience,
    }
    for name, value in {**GOOD, **own}.items():
        monkeypatch.setenv(PREFIX + name, value)
    printed = run("token", "--viewer", viewer, "--expires", "30m")
    headers = {"Authorization": f"Bearer {printed.stdout.strip()}"}
    answer = await http.post("/graphql", json={"query": "{ viewer { userId } }"}, headers=headers)
    assert answer.json()["data"] == {"viewer": {"userId": viewer}}


def test_with_a_jwks_url_tokens_come_from_elsewhere(good: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{PREFIX}JWT_SECRET")
    monkeypatch.setenv(f"{PREFIX}JWT_JWKS_URL", "https://issuer.test/jwks")
    refused = run("token", "--viewer", "alice")
    assert "ACCOUNTS_JWT_SECRET is not set" in said(refused, 1)
    assert refused.stdout == ""


@pytest.mark.parametrize("lifetime", ["", "1", "h", "1 h", "-1h", "1w", "1.5h", "1h30m", "9999999d"])
def test_a_lifetime_that_is_none_is_refused(good: None, lifetime: str) -> None:
    assert "--expires" in said(run("token", "--viewer", "alice", "--expires", lifetime), 2)


def test_the_printed_contract_is_the_committed_one() -> None:
    assert run("schema", "print").stdout == CONTRACT.read_text() == print_contract()


def test_the_contract_is_checked_against_a_file(tmp_path: Path) -> None:
    assert run("schema", "check", CONTRACT).exit_code == 0
    other = tmp_path / "other.graphql"
    other.write_text(CONTRACT.read_text() + "\n")
    assert "differs from the code" in said(run("schema", "check", other), 1)
    assert "does not exist" in said(run("schema", "check", "missing.graphql"), 2)


@pytest.mark.parametrize(("name", "page"), [("configuration", build_configuration_page), ("errors", build_errors_page)])
def test_the_reference_pages_are_printed(name: str, page: Any) -> None:
    assert run("docs", name).stdout == page()


def test_an_empty_database_is_migrated_and_a_second_time_nothing_happens(good: None) -> None:
    for _ in range(2):
        assert "up to date" in run("migrate").stdout
    with closing(sqlite3.connect("accounts.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"accounts", "snapshots", "audit_events"} <= tables


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize("url", ["sqlite:///missing/accounts.db", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_that_is_away_is_said(good: None, monkeypatch: pytest.MonkeyPatch, url: str, command: str) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    assert "The database does not answer." in said(run(command), 1)


def test_serve_refuses_a_database_without_its_tables(good: None) -> None:
    assert "Run: tiktok-accounts migrate" in said(run("serve"), 1)


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["token", "--viewer", "alice"]], ids=lambda args: args[0])
def test_every_missing_setting_is_named_with_how_to_mend_it(command: list[str]) -> None:
    message = said(run(*command), 1)
    for name in GOOD.keys() - {"JWT_SECRET"}:
        assert f"{PREFIX}{name} is missing. " in message
    assert "openssl rand -base64 32" in message


def test_a_setting_that_is_wrong_is_named_without_its_value(good: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}JWT_SECRET", "short-secret")
    message = said(run("serve"), 1)
    assert "ACCOUNTS_JWT_SECRET is weak" in message
    assert "short-secret" not in message
