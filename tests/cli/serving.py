"""`tiktok-accounts serve` in a process of its own."""

import base64
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.cli.processes import CommandProcess, start_command
from tests.support.server import Api
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.tls import get_ssl_context

LISTENS = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")


def environment_variables(settings: Settings) -> dict[str, str]:
    """Return the environment variables with the same settings."""
    assert settings.jwt_secret is not None
    values = {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "JWT_ISSUER": settings.jwt_issuer,
        "JWT_AUDIENCE": settings.jwt_audience,
        "ENCRYPTION_KEYS": ",".join(base64.urlsafe_b64encode(key).decode() for key in settings.keys),
        "TIKTOK_CLIENT_KEY": settings.tiktok_client_key,
        "TIKTOK_CLIENT_SECRET": settings.tiktok_client_secret.get_secret_value(),
        "TIKTOK_API_URL": settings.tiktok_api_url,
        "TIKTOK_TIMEOUT_SECONDS": str(settings.tiktok_timeout_seconds),
        "TIKTOK_REQUESTS_PER_MINUTE": str(settings.tiktok_requests_per_minute),
        "TIKTOK_FAILURES_BEFORE_PAUSE": str(settings.tiktok_failures_before_pause),
        "WORKER_CONCURRENCY": str(settings.worker_concurrency),
        "SYNC_INTERVAL": f"{settings.sync_interval.total_seconds():.0f}s",
        "LIST_CACHE_SECONDS": str(settings.list_cache_seconds),
        "MAX_CONNECTIONS": str(settings.max_connections),
        "MAX_REQUESTS": str(settings.max_requests),
        "COST_LIMIT": str(settings.cost_limit),
        "PUBLIC_URL": settings.public_url,
    }
    return {PREFIX + name: value for name, value in values.items()}


@asynccontextmanager
async def run_server(
    folder: Path, settings: Settings, viewer: str, *options: str, files: int | None = None
) -> AsyncGenerator[tuple[CommandProcess, Api]]:
    """Run a server in a process of its own. Yield it with a viewer's client. `files`: the number of files that it may open."""
    with start_command(
        folder, "serve", "--port", "0", *options, env=environment_variables(settings), files=files
    ) as server:
        url = server.wait_for(_find_url, server.err)
        async with httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client:
            yield server, Api(http=client, settings=settings, viewer=viewer)


def _find_url(lines: str) -> str | None:
    match = LISTENS.search(lines)
    return match[1] if match and "Application startup complete." in lines else None


def requests_in(log: Path) -> list[dict[str, Any]]:
    """Return the log events of requests. Every line of the log is one JSON object."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["event"] == "request"]
