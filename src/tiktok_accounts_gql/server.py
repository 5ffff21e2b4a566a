"""How uvicorn is run, wherever the API is served."""

from typing import Any

from tiktok_accounts_gql.settings import Settings


def server_options(settings: Settings) -> dict[str, Any]:
    return {
        "loop": "uvloop",
        "http": "httptools",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "timeout_graceful_shutdown": settings.shutdown_seconds,
    }
