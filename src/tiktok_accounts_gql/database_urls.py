"""ACCOUNTS_DATABASE_URL, as two drivers take it: asyncpg for our own statements, psycopg (libpq) for the job engine.

What hosts of PostgreSQL hand out are libpq's URLs. asyncpg reads most of their parameters itself from a DSN, sends the rest
to the server as settings, and knows nothing of those that are about libpq's own sockets and authentication.
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
_FOR_BOTH = frozenset(
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
# The pool has a time-out of its own; the system's keep-alives do; SCRAM works without channel binding.
_FOR_LIBPQ = frozenset(
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


def understood(value: str) -> str:
    """The URL that all else is made from, for asyncpg or aiosqlite. Raises ValueError, which says what is wrong."""
    try:
        url = make_url(_one_host_in_front(value))
    except (ArgumentError, ValueError):
        raise ValueError("is not a database URL such as sqlite:///accounts.db or postgresql://user@host/name") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(f"uses {url.drivername}; only sqlite and postgresql (with aiosqlite and asyncpg) are possible")
    if url.drivername.startswith("sqlite"):
        if url.database in (None, "", ":memory:"):
            raise ValueError("needs a file: a database in memory is gone with the process")
    else:
        url = _checked(url)
    return url.set(drivername=_DRIVERS[url.drivername]).render_as_string(hide_password=False)


def for_libpq(url: str) -> str:
    """Of what `understood` made, for SQLAlchemy with psycopg, or with sqlite3."""
    parsed = make_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def for_asyncpg(url: str) -> tuple[str, dict[str, Any]]:
    """The URL and the `connect_args` for SQLAlchemy's engine: the driver itself reads the rest."""
    parsed = make_url(url)
    query = {name: value for name, value in parsed.query.items() if name not in _FOR_LIBPQ}
    arguments: dict[str, Any] = {}
    if query.get("sslrootcert") == "system":
        del query["sslrootcert"]
        query.pop("sslmode", None)
        arguments["ssl"] = ssl.create_default_context()  # as libpq: the host's name is checked as well
    dsn = parsed.set(drivername="postgresql", query=query)
    return "postgresql+asyncpg://", {"dsn": dsn.render_as_string(hide_password=False), **arguments}


def _checked(url: URL) -> URL:
    """Raises ValueError."""
    query = dict(url.query)
    if "ssl" in query:  # as asyncpg and JDBC call it
        mode = query.pop("ssl")
        query.setdefault("sslmode", "require" if mode == "true" else mode)
    unknown = sorted(query.keys() - _FOR_BOTH - _FOR_LIBPQ)
    if unknown:
        raise ValueError(f"has a parameter that PostgreSQL's clients do not know: {', '.join(unknown)}")
    repeated = sorted(name for name, value in query.items() if not isinstance(value, str))
    if repeated:
        raise ValueError(f"has a parameter more than once: {', '.join(repeated)}")
    if query.get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"has an sslmode that is none: one of {', '.join(SSL_MODES)}")
    return url.set(query=query)


def _one_host_in_front(value: str) -> str:
    """`//user@one:1,two:2/name` has its hosts in front of the path, where SQLAlchemy takes one: they go behind it."""
    authority = urlsplit(value).netloc
    account, at, hosts = authority.rpartition("@")
    if "," not in hosts:
        return value
    pairs = [host.rsplit(":", 1) if ":" in host.rpartition("]")[2] else [host, "5432"] for host in hosts.split(",")]
    names, ports = (",".join(part) for part in zip(*pairs, strict=True))
    joined = "&" if "?" in value else "?"
    return f"{value.replace(authority, f'{account}{at}', 1)}{joined}host={names}&port={ports}"
