"""Media types of responses: GraphQL over HTTP for a single result, two protocols for the results of a subscription."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import mimeparse

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
EVENTS = "text/event-stream"
PARTS = "multipart/mixed"
_CACHED_HEADERS = 64  # clients send few different values


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTypes:
    """The best media type for a single result, and for a subscription; None where the client accepts none of ours."""

    result: str | None
    stream: str | None

    @property
    def error(self) -> str:
        """The media type of an error: JSON if the client accepts none of ours."""
        return self.result or self.stream or JSON


@lru_cache(maxsize=_CACHED_HEADERS)
def negotiate(accept: str | None) -> AcceptedTypes:
    """Choose media types for an Accept header."""
    streams = dict(_stream_types(accept or ""))
    offers = [EVENTS, GRAPHQL, JSON] if EVENTS in streams else [GRAPHQL, JSON]
    best_stream = max(streams, key=lambda media_type: streams[media_type], default=None)
    return AcceptedTypes(result=_best_match(offers, accept), stream=best_stream)


@lru_cache(maxsize=_CACHED_HEADERS)
def prefers_html(accept: str | None) -> bool:
    """Return whether a browser opens the page, rather than a GraphQL client."""
    return accept is not None and _best_match([HTML, GRAPHQL, JSON], accept) == HTML


def _stream_types(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the streaming types that the header names, with their quality: `*/*` means a single result."""
    for media_range in accept.lower().split(","):
        try:
            kind, subtype, parameters = mimeparse.parse_media_range(media_range.strip())
        except mimeparse.MimeTypeParseException:
            continue
        media_type, quality = f"{kind}/{subtype}", float(parameters["q"])
        spec = parameters.get("subscriptionspec", "").strip('"')
        is_stream = media_type == EVENTS or (media_type == PARTS and spec == "1.0")
        if is_stream and quality > 0:
            yield media_type, quality


def _best_match(offers: list[str], accept: str | None) -> str | None:
    """Return the best offer, of equally good ones the last. Parts that are no media range are ignored."""
    parts = (accept or "*/*").lower().split(",")
    return mimeparse.best_match(offers, ",".join(filter(_is_media_range, parts))) or None


def _is_media_range(text: str) -> bool:
    try:
        mimeparse.parse_media_range(text.strip())
    except mimeparse.MimeTypeParseException:
        return False
    return True
