"""Copies of accounts' pictures, served under links that do not expire.

TikTok's links expire within days. So a copy is fetched when an account is connected or synced, before the transaction, and
stored with it under the hash of its content. An account without a picture gets its initials, drawn as a small SVG.
"""

from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import TypedDict
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


class AvatarColumns(TypedDict, total=False):
    """The account's columns that change with its avatar."""

    avatar_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarService:
    """Fetches, stores and finds avatars."""

    db: Database
    pictures: PictureClient
    clock: Clock

    async def fetch(self, account: Account | None, user: TikTokUser) -> Picture | None:
        """Return the picture to store; None if the stored one is the same, or a new one cannot be fetched."""
        stored_hash = None if account is None else account.avatar_hash
        if user.avatar_url is not None:
            source = None
            if account is not None and stored_hash is not None:
                async with self.db.read() as session:
                    source = await avatars.find_source(session, account.viewer_id, account.id, stored_hash)
            if source != remove_signature(user.avatar_url):
                picture = await self.pictures.fetch(user.avatar_url)
                if picture is not None:
                    return picture
        if stored_hash is not None:
            return None
        return draw_initials(user.display_name or user.open_id or "")

    def build_avatar(self, account: Account, picture: Picture | None) -> Avatar | None:
        """Build the row to store; None without a picture."""
        if picture is None:
            return None
        return Avatar(
            account_id=account.id,
            content_hash=sha256(picture.content).hexdigest()[:HASH_LENGTH],
            viewer_id=account.viewer_id,
            media_type=picture.media_type,
            content=picture.content,
            source=picture.source,
            stored_at=self.clock(),
        )

    def store(self, session: Session, avatar: Avatar | None) -> AvatarColumns:
        """Store the avatar, if there is one, and return the account's columns that change with it."""
        if avatar is None:
            return {}
        avatars.store(session, avatar)
        return {"avatar_hash": avatar.content_hash}

    async def find(self, account_id: UUID, content_hash: str) -> Avatar | None:
        """Find an avatar by its link, without a viewer: only who was shown the account knows the link."""
        async with self.db.read() as session:
            return await avatars.find(session, account_id, content_hash)


def draw_initials(name: str) -> Picture:
    """Draw up to two initials on a colour that depends on the name. Invisible characters would break the SVG."""
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
