"""How uvicorn is run, wherever the API is served: its protocols with bounds, and its supervisor with an orderly end."""

from typing import Any

from tiktok_accounts_gql.server.http import HttpProtocol
from tiktok_accounts_gql.server.sockets import SocketProtocol
from tiktok_accounts_gql.settings import Settings

__all__ = ["HttpProtocol", "SocketProtocol", "server_options"]

LARGEST_MESSAGE = 64 * 1024


def server_options(settings: Settings) -> dict[str, Any]:
    return {
        "loop": "uvloop",
        "http": "tiktok_accounts_gql.server:HttpProtocol",
        "ws": "tiktok_accounts_gql.server:SocketProtocol",
        "ws_max_size": LARGEST_MESSAGE,
        "ws_per_message_deflate": False,  # its memory for each connection is worth more than the bytes
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "timeout_graceful_shutdown": settings.shutdown_seconds,
    }
