"""This project's server, started as an operator starts it: signed in and audited; jobs are another process' business."""

import base64
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
from pydantic import SecretStr

from bench.documents import Case
from bench.load import Ask
from bench.processes import SERVER, Process, free_port, started
from bench.rows import viewer_id
from tests.cli.serving import environment_variables
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.web.authentication import issue_token

COMMAND = Path(sys.executable).parent / "tiktok-accounts"
PATH = "/graphql"
_OPERATIONS = re.compile(r'^accounts_operations_total\{path="([^"]+)",.*\} (\S+)$', re.MULTILINE)
CACHE = PREFIX + "LIST_CACHE_SECONDS"
CACHE_MEMORY = PREFIX + "LIST_CACHE_MEGABYTES"


def bench_settings(database_url: str) -> Settings:
    """Production's, but for where TikTok would be: nobody is there, and nobody is asked."""
    return Settings.model_validate(
        {
            "database_url": database_url,
            "jwt_secret": SecretStr("a secret of this measurement, of 32 bytes"),
            "jwt_issuer": "https://issuer.invalid",
            "jwt_audience": "accounts",
            "encryption_keys": base64.urlsafe_b64encode(bytes(range(32))).decode(),
            "tiktok_client_key": "key",
            "tiktok_client_secret": SecretStr("secret"),
            "tiktok_api_url": "http://127.0.0.1:9",
            "public_url": "http://localhost:8000",
            "sync_interval": timedelta(0),
            "list_cache_seconds": 0,
            "cost_limit": 10**9,  # a few viewers ask without end: what they spend is counted, nobody is refused
            "cost_restore_rate": 10**9,
        }
    )


@contextmanager
def our_server(
    database_url: str,
    folder: Path,
    *,
    cache_seconds: int = 0,
    cache_megabytes: int | None = None,
    workers: int = 1,
    processors: str = SERVER,
) -> Iterator[Process]:
    """`cache_megabytes`: the setting's default without it."""
    env = {**environment_variables(bench_settings(database_url)), CACHE: str(cache_seconds)}
    if cache_megabytes is not None:
        env[CACHE_MEMORY] = str(cache_megabytes)
    port = free_port()
    command: list[str | Path] = [COMMAND, "serve", "--no-worker", "--port", str(port), "--workers", str(workers)]
    with started(command, port, processors=processors, log=folder / "ours.log", env=env) as server:
        yield server


def secret() -> str:
    """What tokens are signed with."""
    jwt_secret = bench_settings("sqlite:///unused.db").jwt_secret
    assert jwt_secret is not None
    return jwt_secret.get_secret_value()


@cache
def identity(viewer: int) -> tuple[str, str]:
    settings = bench_settings("sqlite:///unused.db")
    assert settings.jwt_secret is not None
    token = issue_token(
        settings.jwt_secret,
        subject=viewer_id(viewer),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        lifetime=timedelta(days=2),
    )
    return "Authorization", f"Bearer {token}"


def ask(viewer: int, document: str, **given: object) -> Ask:
    return Ask("POST", PATH, identity(viewer), json.dumps({"query": document, "variables": given}))


def list_ask(viewer: int, case: Case, after: str | None) -> Ask:
    return ask(viewer, case.document, first=case.first, **({"after": after} if after else {}))


def paths(server: Process) -> dict[str, int]:
    """How many operations each path has answered so far; empty where the server does not say."""
    said = httpx.get(f"{server.url}/metrics", timeout=30)
    counts: dict[str, int] = {}
    for path, count in _OPERATIONS.findall(said.text if said.is_success else ""):
        counts[path] = counts.get(path, 0) + int(float(count))
    return counts


def answered(server: Process, one: Ask) -> dict[str, object]:
    """The data of an answer. Raises RuntimeError for an answer with errors."""
    sent = {one.identity[0]: one.identity[1], "Content-Type": "application/json"}
    said = httpx.request(one.method, server.url + one.path, content=one.body or None, headers=sent, timeout=30)
    answer = said.raise_for_status().json()
    if "errors" in answer:
        raise RuntimeError(f"{one.body} was answered by {answer['errors']}")
    data: dict[str, object] = answer.get("data", answer)
    return data
