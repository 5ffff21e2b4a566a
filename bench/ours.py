"""This project's server, run as in production: authenticated and audited, without the worker that runs jobs."""

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
from bench.load import Request
from bench.processes import SERVER, Process, free_port, run_server
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
    """Return production's settings without TikTok: nothing listens at its URL, and nothing calls it."""
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
            "cost_limit": 10**9,  # few viewers send many requests: their cost is counted, but no request is refused
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
    """Run it until the block ends. `cache_megabytes` of None is the setting's default."""
    env = {**environment_variables(bench_settings(database_url)), CACHE: str(cache_seconds)}
    if cache_megabytes is not None:
        env[CACHE_MEMORY] = str(cache_megabytes)
    port = free_port()
    command: list[str | Path] = [COMMAND, "serve", "--no-worker", "--port", str(port), "--workers", str(workers)]
    with run_server(command, port, processors=processors, log=folder / "ours.log", env=env) as server:
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


def build_request(viewer: int, document: str, **variables: object) -> Request:
    return Request("POST", PATH, identity(viewer), json.dumps({"query": document, "variables": variables}))


def build_list_request(viewer: int, case: Case, after: str | None) -> Request:
    return build_request(viewer, case.document, first=case.first, **({"after": after} if after else {}))


def count_paths(server: Process) -> dict[str, int]:
    """Return how many operations each path has answered so far; empty for a server without such a metric."""
    response = httpx.get(f"{server.url}/metrics", timeout=30)
    counts: dict[str, int] = {}
    for path, count in _OPERATIONS.findall(response.text if response.is_success else ""):
        counts[path] = counts.get(path, 0) + int(float(count))
    return counts


def fetch_data(server: Process, request: Request) -> dict[str, object]:
    """Return the data of a response. Raise RuntimeError for a response with errors."""
    headers = {request.identity[0]: request.identity[1], "Content-Type": "application/json"}
    url = server.url + request.path
    response = httpx.request(request.method, url, content=request.body or None, headers=headers, timeout=30)
    answer = response.raise_for_status().json()
    if "errors" in answer:
        raise RuntimeError(f"{request.body} returned {answer['errors']}")
    data: dict[str, object] = answer.get("data", answer)
    return data
