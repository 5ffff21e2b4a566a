"""Runs uvicorn: protocols with limits, and a supervisor that stops without losing connections."""

from typing import Any

from tiktok_accounts_gql.server.http import HttpProtocol
from tiktok_accounts_gql.server.sockets import SocketProtocol
from tiktok_accounts_gql.settings import Settings

__all__ = ["HttpProtocol", "SocketProtocol", "server_options"]

MAX_MESSAGE_BYTES = 64 * 1024


def server_options(settings: Settings) -> dict[str, Any]:
    return {
        "loop": "uvloop",
        "http": "tiktok_accounts_gql.server:HttpProtocol",
        "ws": "tiktok_accounts_gql.server:SocketProtocol",
        "ws_max_size": MAX_MESSAGE_BYTES,
        "ws_per_message_deflate": False,  # it takes more memory for each connection than it saves bytes
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "timeout_graceful_shutdown": settings.shutdown_seconds,
    }
