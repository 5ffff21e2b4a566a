"""Conversion of ACCOUNTS_DATABASE_URL for two drivers: asyncpg for our own statements, psycopg (libpq) for the job engine.

Hosting providers of PostgreSQL give out libpq's URLs. asyncpg reads most of their parameters from a DSN, sends the rest to
the server as settings, and does not know those of libpq's own sockets and authentication.
"""

import ssl
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SHARED_PARAMETERS = frozenset(
    [
        "host",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "service",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslcrl",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "target_session_attrs",
        "krbsrvname",
        "gsslib",
        "application_name",
        "options",
    ]
)
# asyncpg does without: the pool has a timeout, the system keep-alives, and SCRAM works without channel binding.
_LIBPQ_PARAMETERS = frozenset(
    [
        "hostaddr",
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "channel_binding",
        "gssencmode",
        "gssdelegation",
        "client_encoding",
        "fallback_application_name",
        "load_balance_hosts",
        "require_auth",
        "requirepeer",
        "sslcompression",
        "sslsni",
        "sslcertmode",
        "sslcrldir",
    ]
)


def normalize_url(value: str) -> str:
    """Return the URL as the other functions take it, with asyncpg or aiosqlite as driver.

    Raises ValueError with a message that continues "ACCOUNTS_DATABASE_URL …".
    """
    try:
        url = make_url(_move_hosts_to_query(value))
    except (ArgumentError, ValueError):
        raise ValueError("is not a database URL such as sqlite:///accounts.db or postgresql://user@host/name") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(f"uses {url.drivername}; only sqlite and postgresql (with aiosqlite and asyncpg) are possible")
    if url.drivername.startswith("sqlite"):
        if url.database in (None, "", ":memory:"):
            raise ValueError("needs a file: a database in memory is gone with the process")
    else:
        url = _check_parameters(url)
    return url.set(drivername=_DRIVERS[url.drivername]).render_as_string(hide_password=False)


def to_libpq_url(url: str) -> str:
    """Return a normalized URL for SQLAlchemy with psycopg, or with sqlite3."""
    parsed = make_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def to_asyncpg_arguments(url: str) -> tuple[str, dict[str, Any]]:
    """Return the URL and the `connect_args` for SQLAlchemy's engine. They contain a DSN that asyncpg reads itself."""
    parsed = make_url(url)
    query = {name: value for name, value in parsed.query.items() if name not in _LIBPQ_PARAMETERS}
    arguments: dict[str, Any] = {}
    if query.get("sslrootcert") == "system":
        del query["sslrootcert"]
        query.pop("sslmode", None)
        arguments["ssl"] = ssl.create_default_context()  # as in libpq, this checks the host name too
    dsn = parsed.set(drivername="postgresql", query=query)
    return "postgresql+asyncpg://", {"dsn": dsn.render_as_string(hide_password=False), **arguments}


def _check_parameters(url: URL) -> URL:
    """Return the URL with the names of parameters that libpq uses. Raises ValueError."""
    query = dict(url.query)
    if "ssl" in query:  # asyncpg's and JDBC's name of sslmode
        mode = query.pop("ssl")
        query.setdefault("sslmode", "require" if mode == "true" else mode)
    unknown = sorted(query.keys() - _SHARED_PARAMETERS - _LIBPQ_PARAMETERS)
    if unknown:
        raise ValueError(f"has a parameter that PostgreSQL's clients do not know: {', '.join(unknown)}")
    repeated = sorted(name for name, value in query.items() if not isinstance(value, str))
    if repeated:
        raise ValueError(f"has a parameter more than once: {', '.join(repeated)}")
    if query.get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"has an sslmode that is none: one of {', '.join(SSL_MODES)}")
    return url.set(query=query)


def _move_hosts_to_query(value: str) -> str:
    """Move several hosts (`//user@a:1,b:2/name`) to parameters: SQLAlchemy takes one host in front of the path."""
    authority = urlsplit(value).netloc
    user, at, hosts = authority.rpartition("@")
    if "," not in hosts:
        return value
    pairs = [host.rsplit(":", 1) if ":" in host.rpartition("]")[2] else [host, "5432"] for host in hosts.split(",")]
    names, ports = (",".join(part) for part in zip(*pairs, strict=True))
    separator = "&" if "?" in value else "?"
    return f"{value.replace(authority, f'{user}{at}', 1)}{separator}host={names}&port={ports}"
