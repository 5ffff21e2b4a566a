"""Which media types an answer may have: GraphQL over HTTP for one result, two protocols for the many of a subscription."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import mimeparse

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
EVENTS = "text/event-stream"
PARTS = "multipart/mixed"
_KNOWN = 64  # clients say the same again and again


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The best type for one result, and the best for a subscription; None where nothing acceptable can be had."""

    answer: str | None
    stream: str | None

    @property
    def refusal(self) -> str:
        """JSON if nothing else is asked for."""
        return self.answer or self.stream or JSON


@lru_cache(maxsize=_KNOWN)
def accepted(accept: str | None) -> Accepted:
    """From an Accept header."""
    streams = dict(_streams(accept or ""))
    offers = [EVENTS, GRAPHQL, JSON] if EVENTS in streams else [GRAPHQL, JSON]
    return Accepted(answer=_best(offers, accept), stream=max(streams, key=lambda one: streams[one], default=None))


@lru_cache(maxsize=_KNOWN)
def wants_page(accept: str | None) -> bool:
    """Whether somebody with a browser asks, rather than a client."""
    return accept is not None and _best([HTML, GRAPHQL, JSON], accept) == HTML


def _streams(accept: str) -> Iterator[tuple[str, float]]:
    """Types of subscriptions with their quality. They have to be named: who accepts anything expects one result."""
    for one in accept.lower().split(","):
        try:
            kind, subtype, parameters = mimeparse.parse_media_range(one.strip())
        except mimeparse.MimeTypeParseException:
            continue
        media_type, quality = f"{kind}/{subtype}", float(parameters["q"])
        spec = parameters.get("subscriptionspec", "").strip('"')
        wanted = media_type == EVENTS or (media_type == PARTS and spec == "1.0")
        if wanted and quality > 0:
            yield media_type, quality


def _best(offers: list[str], accept: str | None) -> str | None:
    """Of equally welcome ones the last. What is no media range is passed over, as an empty element is."""
    ranges = ",".join(one for one in (accept or "*/*").lower().split(",") if _is_range(one))
    return mimeparse.best_match(offers, ranges) or None


def _is_range(text: str) -> bool:
    try:
        mimeparse.parse_media_range(text.strip())
    except mimeparse.MimeTypeParseException:
        return False
    return True
