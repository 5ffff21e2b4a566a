"""Reads values of replies leniently: each function returns None for what it cannot read, and raises nothing.

One odd value must not cost the rest of a reply, least of all tokens that have rotated. Text, numbers and booleans are
read from each other's JSON types where the meaning is plain: "12" and 12.0 are 12, 1 is true.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

LONGEST_NUMBER = 40  # characters: whatever is longer is no counter, no time and no id
LONGEST_TEXT = 1000
LONGEST_IDENTIFIER = 255
LONGEST_LINK = 2048
LONGEST_TOKEN = 8192  # servers refuse requests with longer headers
LONGEST_LIST, LONGEST_WORD, MOST_ITEMS = 10_000, 100, 100

_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_TOKEN = re.compile(r"[\x20-\x7e]+")
_UNSAFE_IN_LINKS = re.compile(r"[\x00-\x20\x7f\\]")
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # controls, formats such as zero-width spaces, and blanks
_SEPARATORS = re.compile(r"[,\s]+")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_json(body: bytes) -> Any:
    """Decodes JSON in any Unicode encoding, with or without a byte order mark, and with anything after it.

    Broken bytes become U+FFFD. Of equal keys the last one that says something counts. None for what is no JSON or is
    nested deeper than Python's stack.
    """
    text = body.decode(json.detect_encoding(body), errors="replace").removeprefix("\ufeff")
    try:
        return _DECODER.raw_decode(text.lstrip(" \t\r\n\0"))[0]
    except (ValueError, RecursionError):
        return None


def read_object(value: Any, name: str) -> dict[str, Any]:
    """An object inside of another one; an empty one where there is none."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def read_text(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    """Without NUL, which PostgreSQL does not store, and with U+FFFD for half a surrogate pair. Cut when very long."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    whole = value[:longest].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "")


def read_name(value: Any) -> str | None:
    """Text in which something can be seen."""
    text = read_text(value)
    return text if text and any(category(char) not in _UNSEEN for char in text) else None


def read_identifier(value: Any, longest: int = LONGEST_IDENTIFIER) -> str | None:
    """Text that means nothing when it is cut."""
    if isinstance(value, str) and len(value) > longest:
        return None
    return (read_text(value, longest) or "").strip() or None


def read_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value[: LONGEST_NUMBER + 1].strip()
        return int(text.partition(".")[0]) if len(text) <= LONGEST_NUMBER and _WHOLE.fullmatch(text) else None
    return value if isinstance(value, int) else None


def read_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else str(read_integer(value))
    return _BOOLEANS.get(text)


def read_list(value: Any) -> list[str] | None:
    """Words from a list, or from a text with commas or blanks between them; None if there is no word."""
    parts: Iterable[Any] = value if isinstance(value, list) else [value]
    texts = [text for part in parts if isinstance(part, str) and (text := read_text(part, LONGEST_LIST))]
    words = [word for text in texts for word in _SEPARATORS.split(text) if 0 < len(word) <= LONGEST_WORD]
    return list(dict.fromkeys(words))[:MOST_ITEMS] or None


def read_token(value: Any) -> str | None:
    """Refuses what could not be sent back: other characters would end a header, or add one."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > LONGEST_TOKEN:
        return None
    token = text.strip()
    return token if _TOKEN.fullmatch(token) else None


def read_link(value: Any) -> str | None:
    """Only https: a link is shown to people, who click on it."""
    link = read_identifier(value, LONGEST_LINK) or ""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    is_shown = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
    return link if is_shown and not _UNSAFE_IN_LINKS.search(link) else None


def _merge(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, value in pairs:
        if value not in (None, "") or name not in merged:
            merged[name] = value
    return merged


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_NUMBER else None


_DECODER = json.JSONDecoder(object_pairs_hook=_merge, parse_int=_number, parse_constant=lambda _: None, strict=False)
