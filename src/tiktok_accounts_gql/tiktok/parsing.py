"""Lenient parsing of values in replies: a function returns None for what it cannot parse, and raises nothing.

One invalid value must not cost the rest of a reply, least of all tokens that have rotated. Text, numbers and booleans are
parsed from each other's JSON types where the meaning is clear: "12" and 12.0 are 12, 1 is true.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

MAX_NUMBER_LENGTH = 40  # characters: counters, times and ids are shorter
MAX_TEXT_LENGTH = 1000
MAX_IDENTIFIER_LENGTH = 255
MAX_LINK_LENGTH = 2048
MAX_TOKEN_LENGTH = 8192  # servers refuse requests with longer headers
MAX_LIST_LENGTH, MAX_WORD_LENGTH, MAX_WORDS = 10_000, 100, 100

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_TOKEN = re.compile(r"[\x20-\x7e]+")
_UNSAFE_IN_LINKS = re.compile(r"[\x00-\x20\x7f\\]")
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # controls, formats such as zero-width spaces, and spaces
_SEPARATORS = re.compile(r"[,\s]+")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def parse_json(body: bytes) -> Any:
    """Decode JSON in any Unicode encoding, with or without a byte order mark, and with anything after it.

    Invalid bytes become U+FFFD. Of equal keys the last one with a value counts. Return None for what is not JSON or is
    nested too deeply for Python's stack.
    """
    text = body.decode(json.detect_encoding(body), errors="replace").removeprefix("\ufeff")
    try:
        return _DECODER.raw_decode(text.lstrip(" \t\r\n\0"))[0]
    except (ValueError, RecursionError):
        return None


def get_object(value: Any, name: str) -> dict[str, Any]:
    """Return the object in a field of another one; an empty one where there is none."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def parse_text(value: Any, max_length: int = MAX_TEXT_LENGTH) -> str | None:
    """Return text cut to `max_length`, without NUL, which PostgreSQL does not store; half a surrogate pair is U+FFFD."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    text = value[:max_length].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "")


def parse_name(value: Any) -> str | None:
    """Return text with at least one visible character."""
    text = parse_text(value)
    return text if text and any(category(char) not in _INVISIBLE for char in text) else None


def parse_identifier(value: Any, max_length: int = MAX_IDENTIFIER_LENGTH) -> str | None:
    """Return text of at most `max_length`; None for a longer one, which would be another identifier when cut."""
    if isinstance(value, str) and len(value) > max_length:
        return None
    return (parse_text(value, max_length) or "").strip() or None


def parse_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value[: MAX_NUMBER_LENGTH + 1].strip()
        return int(text.partition(".")[0]) if len(text) <= MAX_NUMBER_LENGTH and _INTEGER.fullmatch(text) else None
    return value if isinstance(value, int) else None


def parse_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else str(parse_integer(value))
    return _BOOLEANS.get(text)


def parse_words(value: Any) -> list[str] | None:
    """Return the words of a list, or of a text with commas or spaces between them; None if there is no word."""
    parts: Iterable[Any] = value if isinstance(value, list) else [value]
    texts = [text for part in parts if isinstance(part, str) and (text := parse_text(part, MAX_LIST_LENGTH))]
    words = [word for text in texts for word in _SEPARATORS.split(text) if 0 < len(word) <= MAX_WORD_LENGTH]
    return list(dict.fromkeys(words))[:MAX_WORDS] or None


def parse_token(value: Any) -> str | None:
    """Return a token that can be sent in a header: other characters would end the header, or add one."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > MAX_TOKEN_LENGTH:
        return None
    token = text.strip()
    return token if _TOKEN.fullmatch(token) else None


def parse_link(value: Any) -> str | None:
    """Return a link that is safe to show to users: https only."""
    link = parse_identifier(value, MAX_LINK_LENGTH) or ""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    is_safe = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
    return link if is_safe and not _UNSAFE_IN_LINKS.search(link) else None


def _merge_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object of which an empty value never replaces another one of the same name."""
    merged: dict[str, Any] = {}
    for name, value in pairs:
        if value not in (None, "") or name not in merged:
            merged[name] = value
    return merged


def _parse_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_NUMBER_LENGTH else None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_merge_pairs, parse_int=_parse_number, parse_constant=lambda _: None, strict=False
)
