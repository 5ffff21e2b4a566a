"""Copies of accounts' pictures, under links that stay valid.

TikTok's links expire within days. A copy is fetched when an account is connected or synced, before the transaction, and
stored with it by the hash of its content. An account without a picture has its initials, drawn as a small SVG.
"""

from hashlib import sha256
from html import escape
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import avatars
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, Avatar
from tiktok_accounts_gql.tiktok.pictures import Picture, PictureClient, remove_signature
from tiktok_accounts_gql.tiktok.values import TikTokUser

HASH_LENGTH = 32
SVG = "image/svg+xml"
COLOURS = ("#fe2c55", "#0f9aa8", "#7a4dd8", "#d9730d", "#2f6fde", "#3b8a3e", "#b5457f", "#5c6470")


class AvatarService:
    """Fetches, stores and finds them."""

    def __init__(self, *, db: Database, pictures: PictureClient, clock: Clock) -> None:
        self._db = db
        self._pictures = pictures
        self._clock = clock

    async def fetch(self, account: Account | None, user: TikTokUser) -> Picture | None:
        """The picture to store now; None where what is stored stays: the same one, or none that can be had."""
        if user.avatar_url is not None and await self._source(account) != remove_signature(user.avatar_url):
            picture = await self._pictures.fetch(user.avatar_url)
            if picture is not None:
                return picture
        if account is not None and account.avatar_hash is not None:
            return None
        return initials(user.display_name or user.open_id or "")

    def copy_of(self, account: Account, picture: Picture | None) -> Avatar | None:
        """As it is stored; nothing if there is none."""
        if picture is None:
            return None
        return Avatar(
            account_id=account.id,
            content_hash=sha256(picture.content).hexdigest()[:HASH_LENGTH],
            viewer_id=account.viewer_id,
            media_type=picture.media_type,
            content=picture.content,
            source=picture.source,
            stored_at=self._clock(),
        )

    def store(self, session: Session, avatar: Avatar | None) -> dict[str, Any]:
        """The columns of the account that change with it."""
        if avatar is None:
            return {}
        avatars.store(session, avatar)
        return {"avatar_hash": avatar.content_hash}

    async def find(self, account_id: UUID, content_hash: str) -> Avatar | None:
        """By its link alone: whoever has it was shown the account."""
        async with self._db.read() as session:
            return await avatars.find(session, account_id, content_hash)

    async def _source(self, account: Account | None) -> str | None:
        if account is None or account.avatar_hash is None:
            return None
        async with self._db.read() as session:
            return await avatars.find_source(session, account.viewer_id, account.id, account.avatar_hash)


def initials(name: str) -> Picture:
    """Up to two letters on a colour, both of the name. What cannot be seen is no letter, and breaks the drawing."""
    words = "".join(char for char in name if char.isprintable() or char.isspace()).split()
    letters = "".join(word[0].upper()[0] for word in words[:2]) or "?"
    colour = COLOURS[sha256(name.encode()).digest()[0] % len(COLOURS)]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<rect width="100" height="100" fill="{colour}"/>'
        '<text x="50" y="50" dy=".35em" text-anchor="middle" font-family="sans-serif" font-size="42" fill="#fff">'
        f"{escape(letters)}</text></svg>"
    )
    return Picture(media_type=SVG, content=svg.encode())
