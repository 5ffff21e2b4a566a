"""Settings: their types and defaults, and messages about invalid ones."""

from pathlib import Path
from typing import Any

import pytest

from tiktok_accounts_gql.settings import PREFIX, Settings, SettingsInvalid, load_settings

KEY = "A" * 43 + "="
VALID_SETTINGS = {
    "DATABASE_URL": "sqlite:///accounts.db",
    "JWT_SECRET": "s" * 32,
    "JWT_ISSUER": "issuer",
    "JWT_AUDIENCE": "audience",
    "ENCRYPTION_KEYS": KEY,
    "TIKTOK_CLIENT_KEY": "key",
    "TIKTOK_CLIENT_SECRET": "secret",
    "PUBLIC_URL": "https://accounts.example.com/",
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> Settings:
    for name, value in {**VALID_SETTINGS, **changes}.items():
        if value is not None:
            monkeypatch.setenv(PREFIX + name, value)
    return load_settings()


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, TIKTOK_SCOPES="user.info.basic, user.info.stats")
    assert settings.database_url == "sqlite+aiosqlite:///accounts.db"
    assert settings.tiktok_scopes == ("user.info.basic", "user.info.stats")
    assert settings.public_url == "https://accounts.example.com"
    assert settings.environment == "production"
    assert settings.keys == [bytes(32)]


@pytest.mark.parametrize(
    "scopes",
    [
        "user.info.basic,user.info.stats",
        "user.info.basic user.info.stats",
        " user.info.basic ,\tuser.info.stats,,",
        "user.info.basic\nuser.info.stats",
        "user.info.basic, user.info.stats user.info.basic",
    ],
)
def test_scopes_are_split_at_commas_and_blanks(monkeypatch: pytest.MonkeyPatch, scopes: str) -> None:
    assert load(monkeypatch, TIKTOK_SCOPES=scopes).tiktok_scopes == ("user.info.basic", "user.info.stats")


@pytest.mark.parametrize("scopes", ["", " ", " , ,"])
def test_a_scope_is_needed(monkeypatch: pytest.MonkeyPatch, scopes: str) -> None:
    with pytest.raises(SettingsInvalid, match="ACCOUNTS_TIKTOK_SCOPES"):
        load(monkeypatch, TIKTOK_SCOPES=scopes)


def test_a_dotenv_file_is_read_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = [f"{PREFIX}{name}={value}" for name, value in VALID_SETTINGS.items()] + ["OTHER=1"]
    (tmp_path / ".env").write_text("\n".join(lines))
    monkeypatch.setenv(f"{PREFIX}JWT_ISSUER", "other")
    settings = load_settings()
    assert (settings.jwt_issuer, settings.jwt_audience) == ("other", "audience")


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u@h:5/d", "postgresql+asyncpg://u@h:5/d"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("sqlite+aiosqlite:////a/b.db", "sqlite+aiosqlite:////a/b.db"),
    ],
)
def test_the_driver_need_not_be_named(monkeypatch: pytest.MonkeyPatch, url: str, normalized: str) -> None:
    assert load(monkeypatch, DATABASE_URL=url).database_url == normalized


def test_all_missing_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings()
    names = [line.split()[0] for line in str(raised.value).splitlines()]
    assert names == [PREFIX + name for name in VALID_SETTINGS if name != "JWT_SECRET"]
    assert all("is missing. " in line for line in str(raised.value).splitlines())


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"JWT_SECRET": "short"}, "JWT_SECRET", "is weak: at least 32 bytes"),
        ({"JWT_SECRET": None}, "JWT_SECRET", "exactly one of"),
        ({"JWT_JWKS_URL": "https://keys"}, "JWT_SECRET", "exactly one of"),
        ({"ENCRYPTION_KEYS": "AAAA"}, "ENCRYPTION_KEYS", "has 3 bytes where 32 are needed"),
        ({"ENCRYPTION_KEYS": "!"}, "ENCRYPTION_KEYS", "is not base64url"),
        ({"ENCRYPTION_KEYS": f"{KEY},AAAA"}, "ENCRYPTION_KEYS", "has 3 bytes"),
        ({"ENCRYPTION_KEYS": ","}, "ENCRYPTION_KEYS", "at least 1"),
        ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL", "only sqlite and postgresql"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL", "is not a database URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL", "needs a file"),
        ({"PUBLIC_URL": "accounts.example.com"}, "PUBLIC_URL", "is not an http or https URL"),
        ({"JWT_ISSUER": ""}, "JWT_ISSUER", "at least 1 character"),
        ({"JWT_LEEWAY_SECONDS": "31"}, "JWT_LEEWAY_SECONDS", "less than or equal to 30"),
        ({"ENVIRONMENT": "test"}, "ENVIRONMENT", "'development' or 'production'"),
    ],
)
def test_an_invalid_setting_is_named_and_explained(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], name: str, message: str
) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load(monkeypatch, **changes)
    [line] = str(raised.value).splitlines()
    assert line.startswith(PREFIX + name)
    assert message in line


def test_no_secret_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    representation = repr(load(monkeypatch, DATABASE_URL="postgresql://u:hidden@h/d", TIKTOK_CLIENT_SECRET="veiled"))
    for secret in ("hidden", "veiled", "s" * 32, "\\x00\\x00"):
        assert secret not in representation
    with pytest.raises(SettingsInvalid) as raised:
        load(monkeypatch, JWT_SECRET="shortsecret", ENCRYPTION_KEYS="c2VjcmV0")
    assert "shortsecret" not in str(raised.value)
    assert "c2VjcmV0" not in str(raised.value)
