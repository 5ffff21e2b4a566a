"""A face for every user, always the same: ellipses on a coloured background, as a PNG (RFC 2083) with a palette."""

import random
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

BACKGROUNDS = (
    ("f7c6c7", "fbe0df"),
    ("bfe3dd", "dff3ef"),
    ("cdd6f6", "e5eafc"),
    ("f6dfae", "fbeed2"),
    ("d9cdf2", "ece5fa"),
)
SKINS = ("f6d3b8", "e8b48f", "c98d63", "9a6241", "6d4229")
HAIRS = ("2a211f", "4f3326", "8a5a2f", "c99a4b", "a63d2f", "7b7f86")
SHIRTS = ("fe2c55", "0f9aa8", "7a4dd8", "d9730d", "2f6fde", "3b8a3e", "2b2f36")
FEATURE_COLOUR = "33241f"
BIT_DEPTH, PALETTE_COLOUR_TYPE, NO_FILTER = 8, 3, b"\0"  # of PNG


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse, in fractions of the picture's side. Only what lies between `top` and `bottom` is drawn."""

    colour: str
    x: float
    y: float
    width: float
    height: float
    top: float = 0
    bottom: float = 1


@lru_cache(maxsize=512)
def render_portrait(name: str, size: int) -> bytes:
    """Return the PNG for a name, `size` pixels wide and high."""
    shapes = _create_shapes(random.Random(name))  # noqa: S311 - meant to be foreseeable
    palette = list(dict.fromkeys(shape.colour for shape in shapes))
    rows = [_render_row(shapes, palette, size, index) for index in range(size)]
    return _encode_png(size, b"".join(bytes.fromhex(colour) for colour in palette), rows)


def _create_shapes(rng: random.Random) -> list[Ellipse]:
    background, disc = rng.choice(BACKGROUNDS)
    skin, hair, shirt = rng.choice(SKINS), rng.choice(HAIRS), rng.choice(SHIRTS)
    hair_behind, hair_in_front = rng.choice(_create_haircuts(hair))
    return [
        Ellipse(background, 0.5, 0.5, 2, 2),
        Ellipse(disc, 0.5, 0.55, 0.43, 0.43),
        *hair_behind,
        Ellipse(shirt, 0.5, 1.05, 0.36, 0.33),
        Ellipse(skin, 0.5, 0.68, 0.085, 0.12),
        Ellipse(skin, 0.5, 0.46, 0.185, 0.225),
        *hair_in_front,
        Ellipse(FEATURE_COLOUR, 0.43, 0.47, 0.019, 0.025),
        Ellipse(FEATURE_COLOUR, 0.57, 0.47, 0.019, 0.025),
        Ellipse("ffffff" if rng.random() < 0.5 else "b5483f", 0.5, 0.55, 0.07, 0.055, top=0.56),  # noqa: PLR2004
    ]


def _create_haircuts(hair: str) -> list[tuple[list[Ellipse], list[Ellipse]]]:
    """Return for each haircut what is drawn behind the face, and what in front of it."""
    crown = Ellipse(hair, 0.5, 0.42, 0.215, 0.23, bottom=0.45)
    fringe = Ellipse(hair, 0.5, 0.3, 0.17, 0.085)
    return [
        ([crown], [fringe]),
        ([crown], [Ellipse(hair, 0.42, 0.31, 0.15, 0.09), Ellipse(hair, 0.6, 0.28, 0.08, 0.06)]),
        ([Ellipse(hair, 0.5, 0.52, 0.26, 0.33, bottom=0.76)], [fringe]),
        ([Ellipse(hair, 0.5, 0.16, 0.09, 0.085), crown], [fringe]),
        (
            [
                Ellipse(hair, x, y, 0.115, 0.115)
                for x, y in ((0.32, 0.42), (0.35, 0.3), (0.5, 0.24), (0.65, 0.3), (0.68, 0.42))
            ],
            [Ellipse(hair, 0.5, 0.3, 0.15, 0.06)],
        ),
        ([], []),
    ]


def _render_row(shapes: list[Ellipse], palette: list[str], size: int, index: int) -> bytes:
    row, y = bytearray(size), (index + 0.5) / size
    for shape in shapes:
        height = (y - shape.y) / shape.height
        if abs(height) >= 1 or not shape.top <= y <= shape.bottom:
            continue
        half = shape.width * sqrt(1 - height * height)
        start, end = max(0, round((shape.x - half) * size)), min(size, round((shape.x + half) * size))
        row[start:end] = bytes([palette.index(shape.colour)]) * (end - start)
    return bytes(row)


def _encode_png(size: int, palette: bytes, rows: list[bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", size, size, BIT_DEPTH, PALETTE_COLOUR_TYPE, 0, 0, 0)
    pixels = zlib.compress(b"".join(NO_FILTER + row for row in rows))
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_encode_chunk(kind, content) for kind, content in chunks)


def _encode_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
