"""Types of settings: how the text of an environment variable becomes a value, and what is refused."""

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretBytes, SecretStr
from pydantic_settings import NoDecode

from tiktok_accounts_gql import database_urls
from tiktok_accounts_gql.crypto import KEY_BYTES
from tiktok_accounts_gql.durations import parse_duration


def split_at_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def split_scopes(value: Any) -> Any:
    """Split at commas and spaces, and drop repeated scopes."""
    return list(dict.fromkeys(value.replace(",", " ").split())) if isinstance(value, str) else value


def decode_key(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        key = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64url") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"has {len(key)} bytes where {KEY_BYTES} are needed")
    return key


def parse_interval(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return timedelta(0) if value == "0" else parse_duration(value)


def format_interval(value: timedelta) -> str:
    return f"{int(value.total_seconds())}s"


def check_web_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(char.isspace() for char in value):
        raise ValueError("is not an http or https URL")
    return value


def normalize_base_url(value: str) -> str:
    return check_web_url(value).rstrip("/")


def check_strength(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < KEY_BYTES:
        raise ValueError(f"is weak: at least {KEY_BYTES} bytes are needed (RFC 7518, section 3.2)")
    return value


Environment = Literal["development", "production"]
DatabaseUrl = Annotated[str, AfterValidator(database_urls.normalize_url)]
WebUrl = Annotated[str, AfterValidator(check_web_url)]
BaseUrl = Annotated[str, AfterValidator(normalize_base_url)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)]
Scopes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_scopes)]
Interval = Annotated[timedelta, BeforeValidator(parse_interval), PlainSerializer(format_interval)]
StrongSecret = Annotated[SecretStr, AfterValidator(check_strength)]
EncryptionKey = Annotated[SecretBytes, BeforeValidator(decode_key), PlainSerializer(lambda _: "…")]
EncryptionKeys = Annotated[tuple[EncryptionKey, ...], NoDecode, BeforeValidator(split_at_commas)]
