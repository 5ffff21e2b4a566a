"""`tiktok-accounts doctor`: what an operator can get wrong is found, and how to fix it is shown."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretBytes, SecretStr
from sqlalchemy import text, update
from sqlmodel import col
from starlette.responses import Response
from typer.testing import CliRunner, Result

from tests.cli.serving import environment_variables
from tests.support.backends import on_sqlite
from tests.support.tiktok import CLIENT_SECRET, TikTok
from tests.web.provider import Provider, jwk, serving
from tiktok_accounts_gql.cli.main import app
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import TokenPair
from tiktok_accounts_gql.doctor.checks import CHECKS, run_checks
from tiktok_accounts_gql.doctor.results import CheckState, Finding
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.wiring import open_services

OTHER_KEY = os.urandom(32)
REGISTERED = "https://accounts.example.com/oauth/tiktok/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def valid(own_settings: Settings) -> Settings:
    return own_settings.model_copy(update={"tiktok_redirect_uri": REGISTERED})


async def get_finding(settings: Settings, name: str, **options: Any) -> Finding:
    checks = await run_checks(settings, **options)
    assert [check.name for check in checks] == list(CHECKS)
    secrets = [
        CLIENT_SECRET,
        *(key.hex() for key in settings.keys),
        *(base64.b64encode(k).decode() for k in settings.keys),
    ]
    assert not [secret for secret in secrets if secret in str(checks)]
    [finding] = [check.finding for check in checks if check.name == name]
    return finding


def assert_finding(finding: Finding, state: str, *parts: str) -> None:
    assert finding.state == state, finding
    assert (finding.fix is None) == (state in ("ok", "skipped"))
    missing = [part for part in parts if part not in f"{finding.message} {finding.fix}"]
    assert missing == [], finding


def change(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update=values)


async def test_where_nothing_is_wrong_every_check_is_ok(valid: Settings) -> None:
    checks = await run_checks(valid)
    assert [(check.name, check.finding.fix) for check in checks if check.finding.state is not CheckState.OK] == []


async def test_a_database_that_is_down_fails_alone_and_what_needs_it_is_skipped(
    valid: Settings, backend: str, tmp_path: Path
) -> None:
    away = f"sqlite+aiosqlite:///{tmp_path}" if backend == "sqlite" else "postgresql+asyncpg://u:hush@127.0.0.1:1/none"
    checks = {check.name: check.finding for check in await run_checks(change(valid, database_url=away))}
    assert_finding(
        checks["Database"], "failed", "ACCOUNTS_DATABASE_URL" if backend == "postgresql" else "There is no file"
    )
    skipped = {name for name, finding in checks.items() if finding.state is CheckState.SKIPPED}
    assert skipped == {"Tables", "Encryption keys", "Clock, database"}
    assert {finding.state for name, finding in checks.items() if name not in {"Database", *skipped}} == {CheckState.OK}
    assert "hush" not in str(checks)


async def test_checking_a_missing_file_does_not_create_it(valid: Settings, tmp_path: Path) -> None:
    file = tmp_path / "missing.db"
    missing = change(valid, database_url=f"sqlite+aiosqlite:///{file}")
    assert_finding(await get_finding(missing, "Database"), "failed", "There is no file", "tiktok-accounts migrate")
    assert not file.exists()


async def test_tables_of_another_version_fail(valid: Settings, backend: str) -> None:
    db = Database.open(valid.database_url)
    async with db.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = 'another'"))
    await db.close()
    checks = {check.name: check.finding for check in await run_checks(valid)}
    assert_finding(checks["Tables"], "failed", "tiktok-accounts migrate")
    assert_finding(checks["Encryption keys"], "skipped", "tables")
    assert_finding(checks["Database"], "ok", "one process" if backend == "sqlite" else "answers in")


async def test_values_that_an_older_key_sealed_are_a_warning(valid: Settings, tiktok: TikTok, viewer: str) -> None:
    async with open_services(valid) as running:
        await TikTok(sandbox=tiktok.sandbox, settings=valid, running=running).connect(viewer)
    assert_finding(await get_finding(valid, "Encryption keys"), "ok", "1 key; 2 values sealed")
    rotating = change(valid, encryption_keys=(SecretBytes(OTHER_KEY), *valid.encryption_keys))
    assert_finding(await get_finding(rotating, "Encryption keys"), "warning", "Of 2 values, 2", "rotate-keys")


async def test_values_that_no_key_opens_fail(valid: Settings, tiktok: TikTok, viewer: str) -> None:
    async with open_services(valid) as running:
        await TikTok(sandbox=tiktok.sandbox, settings=valid, running=running).connect(viewer)
        lost = change(valid, encryption_keys=(SecretBytes(OTHER_KEY),))
        finding = await get_finding(lost, "Encryption keys")
        assert_finding(
            finding, "failed", "token_pairs.access_token (1)", "token_pairs.refresh_token (1)", "Add the key"
        )
        async with running.db.transaction() as session:  # as if moved from one column to another
            await session.execute(update(TokenPair).values(access_token=col(TokenPair.refresh_token)))
    assert_finding(await get_finding(valid, "Encryption keys"), "failed", "token_pairs.access_token (1)")


async def test_each_damaged_value_is_counted(valid: Settings, tiktok: TikTok, viewer: str) -> None:
    async with open_services(valid) as running:
        server = TikTok(sandbox=tiktok.sandbox, settings=valid, running=running)
        broken, *_ = [await server.connect(viewer) for _ in range(3)]
        async with running.db.transaction() as session:
            of_broken = update(TokenPair).where(col(TokenPair.account_id) == broken.id)
            await session.execute(of_broken.values(refresh_token=b"", access_token=b"\x01cut off"))
    finding = await get_finding(valid, "Encryption keys")
    assert_finding(
        finding, "failed", "access_token (1), token_pairs.refresh_token (1)", "without it 1 account must be connected"
    )


async def test_a_new_key_behind_the_others_is_no_failure_and_its_next_step_is_shown(
    valid: Settings, tiktok: TikTok, viewer: str
) -> None:
    async with open_services(valid) as running:
        await TikTok(sandbox=tiktok.sandbox, settings=valid, running=running).connect(viewer)
    begun = change(valid, encryption_keys=(*valid.encryption_keys, SecretBytes(OTHER_KEY)))
    assert_finding(
        await get_finding(begun, "Encryption keys"),
        "ok",
        "2 keys; 2 values sealed, all by the first",
        "put it in front",
    )


@on_sqlite
async def test_a_jwks_url_has_to_serve_a_key_for_signatures(valid: Settings, provider: Provider) -> None:
    behind = change(valid, jwt_secret=None, jwt_jwks_url=provider.url)
    provider.serve(jwk("k", ec.generate_private_key(ec.SECP256R1()), "ES256"))
    assert_finding(await get_finding(behind, "Sign-in"), "ok", "ES256")
    provider.serve({"kty": "oct", "k": "c2VjcmV0"})
    assert_finding(await get_finding(behind, "Sign-in"), "failed", "no key for signatures")
    provider.answer = Response("<html>")
    assert_finding(await get_finding(behind, "Sign-in"), "failed", "is invalid", "ACCOUNTS_JWT_JWKS_URL")
    provider.break_down()
    assert_finding(await get_finding(behind, "Sign-in"), "failed", "500")
    away = change(behind, jwt_jwks_url="http://127.0.0.1:1/jwks.json")
    assert_finding(await get_finding(away, "Sign-in"), "failed", "cannot be fetched")


@on_sqlite
async def test_a_secret_is_described_by_its_length_only(valid: Settings) -> None:
    assert_finding(await get_finding(change(valid, jwt_secret=SecretStr("s3cret" * 8)), "Sign-in"), "ok", "48 bytes")


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "https://a.example/app", "a.example", "https://A.example", "*"]
)
@on_sqlite
async def test_origins_that_never_fit_fail(valid: Settings, origin: str) -> None:
    wrong = change(valid, allowed_origins=("https://b.example", origin))
    assert_finding(await get_finding(wrong, "Allowed origins"), "failed", origin, "without a path or slash")


LONG = "https://a.example/" + "a" * 494


@pytest.mark.parametrize(
    ("platform", "environment", "uri", "state", "part"),
    [
        ("web", "production", REGISTERED, "ok", "web app"),
        ("web", "production", LONG[:511], "ok", "web app"),
        ("web", "production", LONG[:512], "failed", "512 characters"),
        ("web", "production", "https://a.example/back?a=1", "failed", "a query or a fragment"),
        ("web", "production", "https://a.example/back#a", "failed", "a query or a fragment"),
        ("web", "production", "http://a.example/back", "failed", "https only"),
        ("web", "development", "http://localhost:8000/back", "warning", "a sandbox takes it"),
        ("desktop", "production", "http://localhost:8000/back", "ok", "desktop app"),
        ("desktop", "production", "http://127.0.0.1:8000/back/", "ok", "desktop app"),
        ("desktop", "production", "http://127.0.0.1:8000/oauth/tiktok/callback", "failed", "without their cookie"),
        ("desktop", "production", "http://127.0.0.1:3000/oauth/tiktok/callback", "ok", "desktop app"),
        ("desktop", "production", "http://127.0.0.1/back", "failed", "with a port"),
        ("desktop", "production", "http://localhost:99999/back", "failed", "with a port"),
        ("desktop", "production", "https://a.example:8000/back", "failed", "localhost or 127.0.0.1"),
        ("desktop", "production", "http://localhost:8000/back?a=1", "failed", "a query or a fragment"),
    ],
)
@on_sqlite
async def test_a_redirect_uri_keeps_tiktoks_rules(
    valid: Settings, platform: str, environment: str, uri: str, state: str, part: str
) -> None:
    chosen = change(valid, tiktok_login_platform=platform, environment=environment, tiktok_redirect_uri=uri)
    assert_finding(await get_finding(chosen, "Redirect URI"), state, part)


@on_sqlite
async def test_a_redirect_to_this_server_by_another_name_fails(valid: Settings) -> None:
    assert_finding(
        await get_finding(change(valid, allowed_hosts=("accounts.example.com",)), "Redirect URI"),
        "failed",
        "Use one name",
    )


@pytest.mark.parametrize(
    ("scopes", "state", "parts"),
    [
        ("user.info.basic,user.info.profile,user.info.stats", "ok", ["approved"]),
        ("user.info.basic", "warning", ["user.info.profile: username", "user.info.stats: all counters", "growth"]),
        ("user.info.basic,user.info.profile", "warning", ["user.info.stats: all counters"]),
        ("user.info.basic,video.list", "warning", ["Nothing here uses video.list", "refuse all"]),
        ("user.info.stats", "failed", ["user.info.basic"]),
    ],
)
@on_sqlite
async def test_missing_scopes_are_reported_with_the_fields_that_are_null(
    valid: Settings, scopes: str, state: str, parts: list[str]
) -> None:
    assert_finding(await get_finding(change(valid, tiktok_scopes=tuple(scopes.split(","))), "Scopes"), state, *parts)


@on_sqlite
async def test_a_tiktok_that_is_down_fails_and_says_nothing_about_the_rest(valid: Settings) -> None:
    away = change(valid, tiktok_api_url="http://127.0.0.1:1")
    checks = {check.name: check.finding for check in await run_checks(away)}
    assert_finding(checks["TikTok"], "failed", "http://127.0.0.1:1 does not answer", "ACCOUNTS_TIKTOK_API_URL")
    assert_finding(checks["Client key"], "skipped")
    assert_finding(checks["Clock, TikTok"], "skipped")
    assert_finding(checks["Database"], "ok")


@on_sqlite
async def test_a_tiktok_that_fails_fails(valid: Settings, tiktok: TikTok) -> None:
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, status=503))
    assert_finding(await get_finding(valid, "TikTok"), "failed", "503")
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, status=200, body=b"<html>"))
    assert_finding(await get_finding(valid, "TikTok"), "failed", "not as documented")


@pytest.mark.parametrize("wrong", [{"tiktok_client_key": "k"}, {"tiktok_client_secret": SecretStr("s")}], ids=str)
@on_sqlite
async def test_a_client_key_or_secret_that_tiktok_refuses_fails(valid: Settings, wrong: dict[str, Any]) -> None:
    checks = {check.name: check.finding for check in await run_checks(change(valid, **wrong))}
    assert_finding(checks["Client key"], "failed", "developer portal")
    assert_finding(checks["TikTok"], "ok")


@on_sqlite
async def test_a_rate_limit_leaves_the_client_key_open(valid: Settings, tiktok: TikTok) -> None:
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, status=429, error="rate_limit_exceeded"))
    assert_finding(await get_finding(valid, "Client key"), "warning", "Try again")


@on_sqlite
async def test_it_asks_tiktok_once_and_revokes_nothing(valid: Settings, tiktok: TikTok) -> None:
    before = tiktok.sandbox.state.list_calls()
    await run_checks(valid)
    [call] = tiktok.sandbox.state.list_calls()[len(before) :]
    assert (call.path, call.kind, call.error) == (TOKEN_PATH, "refresh_token", "invalid_grant")


@pytest.mark.parametrize("name", ["Clock, database", "Clock, TikTok"])
@pytest.mark.parametrize(
    ("seconds", "state", "word"), [(25, "ok", "apart"), (90, "warning", "ahead"), (-90, "warning", "behind")]
)
@on_sqlite
async def test_clocks_that_differ_by_half_a_minute_are_a_warning(
    valid: Settings, name: str, seconds: int, state: str, word: str
) -> None:
    assert_finding(await get_finding(valid, name, clock=lambda: utc_now() + timedelta(seconds=seconds)), state, word)


# The command


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valid: Settings) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    return {**environment_variables(valid), f"{PREFIX}PUBLIC_URL": "https://accounts.example.com"}


async def run(environment: dict[str, str], *options: str) -> Result:
    """Run the command in a thread, since it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["doctor", *options], env=environment)


async def test_the_table_fits_into_a_terminal_and_ends_with_zero(environment: dict[str, str]) -> None:
    result = await run({**environment, "COLUMNS": "200"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    for name in ("Settings", *CHECKS):
        assert name in result.stdout
    assert "failed" not in result.stdout


@on_sqlite
async def test_json_is_one_object_and_a_failure_ends_with_one(environment: dict[str, str]) -> None:
    healthy = json.loads((await run(environment, "--json")).stdout)
    assert healthy["ok"] is True
    assert [check["name"] for check in healthy["checks"]] == ["Settings", *CHECKS]
    wrong = await run({**environment, "ACCOUNTS_TIKTOK_CLIENT_SECRET": "hush-hush"}, "--json")
    report = json.loads(wrong.stdout)
    assert (wrong.exit_code, report["ok"]) == (1, False)
    [failed] = [check for check in report["checks"] if check["state"] == "failed"]
    assert failed.keys() == {"name", "state", "message", "fix"}
    assert failed["name"] == "Client key"
    assert "hush-hush" not in wrong.output


@on_sqlite
async def test_a_warning_is_no_failure(environment: dict[str, str]) -> None:
    result = await run({**environment, "ACCOUNTS_TIKTOK_SCOPES": "user.info.basic"})
    assert result.exit_code == 0
    assert "warning" in result.stdout


@on_sqlite
async def test_settings_that_are_missing_or_wrong_are_named_and_all_else_is_skipped(
    environment: dict[str, str],
) -> None:
    del environment["ACCOUNTS_DATABASE_URL"]
    result = await run({**environment, "ACCOUNTS_JWT_SECRET": "hush"}, "--json")
    first, *rest = json.loads(result.stdout)["checks"]
    assert (result.exit_code, first["name"], first["state"]) == (1, "Settings", "failed")
    assert "ACCOUNTS_DATABASE_URL is missing." in first["message"]
    assert "ACCOUNTS_JWT_SECRET is weak" in first["message"]
    assert {check["state"] for check in rest} == {"skipped"}
    assert "hush" not in result.output


async def test_no_secret_is_printed(environment: dict[str, str], valid: Settings) -> None:
    secrets = [value for name, value in environment.items() if "SECRET" in name or "KEYS" in name]
    assert len(secrets) == 3
    for options in ([], ["--json"]):
        for changes in ({}, {"ACCOUNTS_TIKTOK_CLIENT_KEY": "wrong"}, {"ACCOUNTS_DATABASE_URL": "nonsense"}):
            output = (await run({**environment, **changes}, *options)).output
            assert [secret for secret in secrets if secret in output] == []
