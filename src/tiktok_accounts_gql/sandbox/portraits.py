"""A face for everybody, always the same: ellipses on a coloured ground, as a PNG (RFC 2083) with a palette."""

import random
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

GROUNDS = (("f7c6c7", "fbe0df"), ("bfe3dd", "dff3ef"), ("cdd6f6", "e5eafc"), ("f6dfae", "fbeed2"), ("d9cdf2", "ece5fa"))
SKINS = ("f6d3b8", "e8b48f", "c98d63", "9a6241", "6d4229")
HAIRS = ("2a211f", "4f3326", "8a5a2f", "c99a4b", "a63d2f", "7b7f86")
SHIRTS = ("fe2c55", "0f9aa8", "7a4dd8", "d9730d", "2f6fde", "3b8a3e", "2b2f36")
INK = "33241f"


@dataclass(frozen=True, slots=True)
class Ellipse:
    """In parts of the picture's side; only what lies between `top` and `bottom` is drawn."""

    colour: str
    x: float
    y: float
    width: float
    height: float
    top: float = 0
    bottom: float = 1


@lru_cache(maxsize=512)
def portrait(name: str, size: int) -> bytes:
    """Of whoever has this name."""
    shapes = _shapes(random.Random(name))  # noqa: S311 - meant to be foreseeable
    palette = list(dict.fromkeys(shape.colour for shape in shapes))
    rows = [_row(shapes, palette, size, place) for place in range(size)]
    return _png(size, b"".join(bytes.fromhex(colour) for colour in palette), rows)


def _shapes(chance: random.Random) -> list[Ellipse]:
    ground, light = chance.choice(GROUNDS)
    skin, hair, shirt = chance.choice(SKINS), chance.choice(HAIRS), chance.choice(SHIRTS)
    behind, before = chance.choice(_cuts(hair))
    return [
        Ellipse(ground, 0.5, 0.5, 2, 2),
        Ellipse(light, 0.5, 0.55, 0.43, 0.43),
        *behind,
        Ellipse(shirt, 0.5, 1.05, 0.36, 0.33),
        Ellipse(skin, 0.5, 0.68, 0.085, 0.12),
        Ellipse(skin, 0.5, 0.46, 0.185, 0.225),
        *before,
        Ellipse(INK, 0.43, 0.47, 0.019, 0.025),
        Ellipse(INK, 0.57, 0.47, 0.019, 0.025),
        Ellipse("ffffff" if chance.random() < 0.5 else "b5483f", 0.5, 0.55, 0.07, 0.055, top=0.56),  # noqa: PLR2004
    ]


def _cuts(hair: str) -> list[tuple[list[Ellipse], list[Ellipse]]]:
    """What of the hair is behind the face, and what is before it."""
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


def _row(shapes: list[Ellipse], palette: list[str], size: int, place: int) -> bytes:
    row, y = bytearray(size), (place + 0.5) / size
    for shape in shapes:
        height = (y - shape.y) / shape.height
        if abs(height) >= 1 or not shape.top <= y <= shape.bottom:
            continue
        half = shape.width * sqrt(1 - height * height)
        start, end = max(0, round((shape.x - half) * size)), min(size, round((shape.x + half) * size))
        row[start:end] = bytes([palette.index(shape.colour)]) * (end - start)
    return bytes(row)


def _png(size: int, palette: bytes, rows: list[bytes]) -> bytes:
    eight_bits, of_a_palette, unfiltered = 8, 3, b"\0"
    header = struct.pack(">IIBBBBB", size, size, eight_bits, of_a_palette, 0, 0, 0)
    pixels = zlib.compress(b"".join(unfiltered + row for row in rows))
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
