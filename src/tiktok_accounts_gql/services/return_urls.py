"""The origin of a `returnTo` URL, read no more leniently than any browser reads it."""

from urllib.parse import urlsplit

MAX_URL_LENGTH = 2000


def find_origin(url: str) -> str | None:
    """Return scheme and authority; None for what is no URL, and for what browsers may read in another way than Python."""
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if url.startswith(origin) else None
