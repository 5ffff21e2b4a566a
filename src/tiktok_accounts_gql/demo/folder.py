"""The folder of a demo: its database, its sandbox's grants and its secrets."""

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
_MARKER, _SECRETS = "seeded", "secrets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSecrets:
    """Secrets of one folder, created once, so that tokens outlive a restart."""

    jwt_secret: str
    encryption_key: str
    client_secret: str

    @classmethod
    def load_or_create(cls, file: Path) -> Self:
        if file.exists():
            return cls(**json.loads(file.read_text()))
        created = cls(
            jwt_secret=secrets.token_urlsafe(48),
            encryption_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            client_secret=secrets.token_urlsafe(24),
        )
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            json.dump(asdict(created), output)
        return created


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFolder:
    """A folder in which a demo keeps its data from one start to the next."""

    path: Path
    secrets: DemoSecrets

    @classmethod
    def open(cls, path: Path, *, reset: bool) -> Self:
        """Open a folder, and empty it first with `reset`, or if seeding was interrupted in it."""
        if path.exists() and (reset or not (path / _MARKER).exists()):
            _remove_demo_files(path)
        path.mkdir(parents=True, exist_ok=True)
        return cls(path=path, secrets=DemoSecrets.load_or_create(path / _SECRETS))

    @property
    def is_seeded(self) -> bool:
        return (self.path / _MARKER).exists()

    def mark_seeded(self) -> None:
        (self.path / _MARKER).touch()

    @property
    def sandbox_file(self) -> Path:
        return self.path / "sandbox.db"

    def to_settings(self, *, public_url: str, sandbox_url: str) -> Settings:
        """Return the demo's settings. Neither the environment nor a `.env` changes them."""
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


def _remove_demo_files(path: Path) -> None:
    """Remove what a demo creates and nothing else: the folder may be given by mistake."""
    for name in (_MARKER, _SECRETS):
        (path / name).unlink(missing_ok=True)
    for file in (*path.glob("accounts.db*"), *path.glob("sandbox.db*")):
        file.unlink()
    if not any(path.iterdir()):
        shutil.rmtree(path)
