"""All settings: read once, from environment variables with the prefix ACCOUNTS_ and from a file `.env`.

`docs/configuration.md` is generated from this model. Every description says what the value is for and how to get one:
it is what an operator reads when the start is refused.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url

from tiktok_accounts_gql import database_urls
from tiktok_accounts_gql.crypto import KEY_BYTES

PREFIX = "ACCOUNTS_"
CALLBACK_PATH = "/oauth/tiktok/callback"
START_PATH = "/oauth/tiktok/start"


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _split_scopes(value: Any) -> Any:
    """At commas and blanks; each one once."""
    return list(dict.fromkeys(value.replace(",", " ").split())) if isinstance(value, str) else value


def _key(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        key = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64url") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"has {len(key)} bytes where {KEY_BYTES} are needed")
    return key


def _period(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value == "0":
        return timedelta(0)
    match = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if match is None:
        raise ValueError("is not a period such as 24h, 90m or 0")
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})


def _printed_period(value: timedelta) -> str:
    return f"{int(value.total_seconds())}s"


def _web_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(char.isspace() for char in value):
        raise ValueError("is not an http or https URL")
    return value


def _base_url(value: str) -> str:
    return _web_url(value).rstrip("/")


def _strong(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < KEY_BYTES:
        raise ValueError(f"is weak: at least {KEY_BYTES} bytes are needed (RFC 7518, section 3.2)")
    return value


WebUrl = Annotated[str, AfterValidator(_web_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Scopes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_scopes)]
EncryptionKey = Annotated[SecretBytes, BeforeValidator(_key), PlainSerializer(lambda _: "…")]
Environment = Literal["development", "production"]


class Settings(BaseSettings):
    """What an operator decides."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[str, AfterValidator(database_urls.normalize_url)] = Field(
        repr=False,  # may hold a password
        description="Where everything is stored: `sqlite:///file.db` or `postgresql://user:password@host/name`.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="Connections to PostgreSQL per process; two at least."
    )
    jwt_secret: Annotated[SecretStr, AfterValidator(_strong)] | None = Field(
        None,
        description="Secret of the HS256 tokens with which users sign in, 32 bytes at least. "
        "Get one by `openssl rand -base64 32`. Either this or `JWT_JWKS_URL`.",
    )
    jwt_jwks_url: WebUrl | None = Field(
        None, description="Where the public keys of RS256, ES256 and EdDSA tokens are. Either this or `JWT_SECRET`."
    )
    jwt_issuer: str = Field(min_length=1, description="The `iss` that tokens must have.")
    jwt_audience: str = Field(min_length=1, description="The `aud` that tokens must have.")
    jwt_client_ids: Words = Field(
        (),
        description="Comma-separated clients whose tokens are accepted without `aud`, by their `client_id` or else `azp`: "
        "Amazon Cognito and some set-ups of Keycloak issue such ones. An `aud` that is there has to be `JWT_AUDIENCE`.",
    )
    jwt_leeway_seconds: int = Field(
        10,
        ge=0,
        le=30,
        description="How far clocks may differ when tokens are checked: requests, sockets and streams end so much later.",
    )
    encryption_keys: Annotated[tuple[EncryptionKey, ...], NoDecode, BeforeValidator(_split)] = Field(
        min_length=1,
        description="Comma-separated keys of 32 bytes in base64url that seal TikTok's tokens; the first one seals, all "
        "of them open. Get one by `openssl rand -base64 32 | tr '+/' '-_'`. A new one goes behind the others on every "
        "server before it goes to the front on any: docs/deployment.md.",
    )
    tiktok_client_key: str = Field(min_length=1, description="The app's client key from TikTok's developer portal.")
    tiktok_client_secret: SecretStr = Field(
        min_length=1, description="The app's client secret from TikTok's developer portal."
    )
    tiktok_scopes: Scopes = Field(
        ("user.info.basic", "user.info.profile", "user.info.stats"),
        min_length=1,
        description="Scopes to ask for, with commas or blanks between them. "
        "One that the app is not approved for makes TikTok refuse all.",
    )
    tiktok_authorize_url: WebUrl = Field(
        "https://www.tiktok.com/v2/auth/authorize/", description="TikTok's consent page."
    )
    tiktok_api_url: BaseUrl = Field("https://open.tiktokapis.com", description="TikTok's API.")
    tiktok_redirect_uri: WebUrl | None = Field(
        None,
        description="Where TikTok sends the browser back to, as registered in its developer portal. Without it, this "
        "server's own `/oauth/tiktok/callback` below `PUBLIC_URL`; a client that takes the redirect sets its own page.",
    )
    tiktok_login_platform: Literal["web", "desktop"] = Field(
        "web", description="As which kind of app TikTok knows this one; `desktop` sends a code challenge (PKCE)."
    )
    tiktok_avatar_hosts: Words = Field(
        ("*.tiktokcdn.com", "*.tiktokcdn-us.com", "*.tiktokcdn-eu.com"),
        description="Comma-separated hosts from which pictures are fetched, by https; `*.name` stands for subdomains. "
        "A full origin such as `http://127.0.0.1:8001` stands for itself (for a sandbox).",
    )
    webhook_max_age_seconds: int = Field(
        300, ge=1, le=7 * 24 * 3600, description="How old the signature of TikTok's webhook may be."
    )
    tiktok_requests_per_minute: int = Field(
        540,
        ge=20,
        description="How often each of TikTok's endpoints (user info, token, revoke) is asked in any sliding minute, by all "
        "processes together. TikTok allows 600.",
    )
    tiktok_failures_before_pause: int = Field(
        5,
        ge=1,
        description="After how many accounts in a row about which TikTok is silent (no connection, no reply in time, 5xx) an "
        "endpoint is asked once in 10 s only. Any reply ends that; an account that fails already does not count.",
    )
    sync_interval: Annotated[timedelta, BeforeValidator(_period), PlainSerializer(_printed_period)] = Field(
        timedelta(hours=24),
        description="After how long accounts are synced by themselves, such as `24h` or `90m`; `0` for never.",
    )
    worker_concurrency: int = Field(
        8, ge=1, le=100, description="Accounts of sync jobs that a process reads at the same time."
    )
    tiktok_timeout_seconds: float = Field(10, gt=0, le=60, description="How long one call to TikTok may take.")
    list_cache_seconds: int = Field(
        300,
        ge=0,
        le=24 * 3600,
        description="For how long whole answers to `accounts` and `accountsSummary` are kept in the memory of a process; "
        "0 for not at all. A change of the user's accounts ends them at once, in other processes within 100 ms. Only "
        "the present that `statsHistory` and `growth` end with may be that much older.",
    )
    list_cache_megabytes: int = Field(
        24, ge=1, le=65_536, description="How much memory of each process such answers may take, in MiB."
    )
    public_url: BaseUrl = Field(description="Where browsers reach this server, such as `https://accounts.example.com`.")
    environment: Environment = Field(
        "production",
        description="`development` offers GraphiQL, introspection, suggestions and readable logs; `production` none.",
    )
    allowed_hosts: Words = Field(
        (),
        description="Comma-separated host names that requests may be for, besides the one of `PUBLIC_URL`; `*.name` "
        "stands for its subdomains.",
    )
    allowed_origins: Words = Field(
        (),
        description="Comma-separated origins of web pages that may call this API (CORS) and be returned to after "
        "connecting (`returnTo`), such as `https://app.example.com`.",
    )
    cors_headers: Words = Field(
        (),
        description="Comma-separated headers that those pages may send, besides the ones of GraphQL clients and of common "
        "tools for tracing; `x-own-*` stands for all that begin so.",
    )
    trusted_proxies: Words = Field(
        ("127.0.0.1",), description="Comma-separated addresses of proxies whose `X-Forwarded-For` is believed."
    )
    cost_limit: int = Field(
        20_000,
        ge=0,
        description="Cost points that a user can spend at once, over all processes; 0 for no limit. docs/cost.md says what "
        "an operation costs.",
    )
    cost_restore_rate: int = Field(
        200, ge=0, description="Cost points that come back to each user in a second; 0 for no limit."
    )
    streams_per_viewer: int = Field(
        20, ge=1, description="WebSockets and streams over HTTP that a user may have open at once, per process."
    )
    max_connections: int = Field(
        4096,
        ge=1,
        le=65_536,
        description="Connections that a process has open at most; less where it may not open so many files (`ulimit -n`). At the "
        "bound the connection that has been silent for longest goes, and a few more are open for probes only.",
    )
    max_requests: int = Field(
        32,
        ge=1,
        le=1000,
        description="Requests that a process answers at the same time. Others wait, callers in turn, and are told 503 "
        "after 10 s.",
    )
    compiled_operations: bool = Field(
        True,
        description="Whether known queries are answered by plans that are compiled once. Off, the general executor of "
        "graphql-core answers all of them: the same, but several times slower.",
    )
    shutdown_seconds: int = Field(
        15, ge=1, le=300, description="How long requests in flight may take after SIGTERM before they are cut off."
    )

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        if (self.jwt_secret is None) == (self.jwt_jwks_url is None):
            raise ValueError("JWT_SECRET: give exactly one of ACCOUNTS_JWT_SECRET and ACCOUNTS_JWT_JWKS_URL")
        return self

    @property
    def redirect_uri(self) -> str:
        return self.tiktok_redirect_uri or f"{self.public_url}{CALLBACK_PATH}"

    @property
    def start_url(self) -> str:
        return f"{self.public_url}{START_PATH}"

    @property
    def origins(self) -> frozenset[str]:
        """Of pages that belong to this API: its own, and those that may call it."""
        public = urlsplit(self.public_url)
        return frozenset({*self.allowed_origins, f"{public.scheme}://{public.netloc}"})

    @property
    def is_embedded(self) -> bool:
        """SQLite's file, which one process serves and works on."""
        return make_url(self.database_url).get_backend_name() == "sqlite"

    @property
    def limits_cost(self) -> bool:
        return bool(self.cost_limit and self.cost_restore_rate)

    @property
    def keys(self) -> list[bytes]:
        return [key.get_secret_value() for key in self.encryption_keys]


class SettingsInvalid(Exception):
    """Settings are missing or wrong; the message names each of them and how to mend it."""


def load_settings(**values: Any) -> Settings:
    """Settings from the environment, `.env` and `values`. Raises SettingsInvalid."""
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_explained(error))) from None


def _explained(error: ValidationError) -> Iterable[str]:
    problems = error.errors(include_input=False, include_url=False)
    by_name = {str(problem["loc"][0]) if problem["loc"] else "": problem for problem in reversed(problems)}
    for name, problem in reversed(by_name.items()):
        message = problem["msg"].removeprefix("Value error, ")
        if not name:
            yield message if message.startswith(PREFIX) else f"{PREFIX}{message}"
            continue
        says = "is missing" if problem["type"] == "missing" else message
        yield f"{PREFIX}{name.upper()} {says}. {Settings.model_fields[name].description}"
