"""Where the demo lives: a folder with its database, its sandbox's memory and its secrets."""

import base64
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from tiktok_accounts_gql.settings import Settings

ISSUER = "https://demo.invalid"
AUDIENCE = "tiktok-accounts"
CLIENT_KEY = "demo-client-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Made once per folder, so that tokens outlive a restart."""

    jwt_secret: str
    encryption_key: str
    client_secret: str

    @classmethod
    def new(cls) -> Self:
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        return cls(jwt_secret=secrets.token_urlsafe(48), encryption_key=key, client_secret=secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """`seeded` tells a folder that is complete from one whose first start was interrupted."""

    path: Path
    secrets: Secrets

    @classmethod
    def open(cls, path: Path, *, reset: bool) -> Self:
        """Begins anew if asked to, or if the last beginning did not come to its end."""
        if path.exists() and (reset or not (path / "seeded").exists()):
            _remove_own_files(path)
        path.mkdir(parents=True, exist_ok=True)
        return cls(path=path, secrets=_secrets(path / "secrets.json"))

    @property
    def seeded(self) -> bool:
        return (self.path / "seeded").exists()

    def mark_seeded(self) -> None:
        (self.path / "seeded").touch()

    @property
    def sandbox_file(self) -> Path:
        return self.path / "sandbox.db"

    def settings(self, *, public_url: str, sandbox_url: str) -> Settings:
        """Of the demo alone: neither the environment nor a `.env` changes it."""
        return Settings.model_validate(
            {
                "database_url": f"sqlite:///{self.path / 'accounts.db'}",
                "jwt_secret": self.secrets.jwt_secret,
                "jwt_issuer": ISSUER,
                "jwt_audience": AUDIENCE,
                "encryption_keys": self.secrets.encryption_key,
                "tiktok_client_key": CLIENT_KEY,
                "tiktok_client_secret": SecretStr(self.secrets.client_secret),
                "tiktok_authorize_url": f"{sandbox_url}/v2/auth/authorize/",
                "tiktok_api_url": sandbox_url,
                "tiktok_avatar_hosts": sandbox_url,
                "public_url": public_url,
                "environment": "development",
            }
        )


def _secrets(file: Path) -> Secrets:
    if file.exists():
        return Secrets(**json.loads(file.read_text()))
    made = Secrets.new()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(asdict(made), out)
    return made


def _remove_own_files(path: Path) -> None:
    """Nothing but what a demo makes: a folder given by mistake keeps everything else."""
    for name in ("seeded", "secrets.json"):
        (path / name).unlink(missing_ok=True)
    for file in (*path.glob("accounts.db*"), *path.glob("sandbox.db*")):
        file.unlink()
    if path.exists() and not any(path.iterdir()):
        shutil.rmtree(path)
