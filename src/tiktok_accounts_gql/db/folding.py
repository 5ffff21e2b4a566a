"""Folding of names for comparison, sorting and search. `docs/decisions/0023` explains each step.

Migration 0007 has a copy. A change of the folding needs a migration that folds the stored names again.
"""

from unicodedata import combining, normalize

# Unicode 16.0, DerivedCoreProperties.txt, Default_Ignorable_Code_Point. The standard library does not have it.
_DEFAULT_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_DROPPED = (
    *_DEFAULT_IGNORABLE,
    (0x0000, 0x0008),  # control characters that are not white space
    (0x000E, 0x001B),
    (0x007F, 0x0084),
    (0x0086, 0x009F),
    (0xD800, 0xDFFF),  # halves of surrogate pairs: no database stores them
    (0x0640, 0x0640),  # Arabic tatweel
    (0x0488, 0x0489),  # marks around a letter, whose combining class is 0
    (0x1ABE, 0x1ABE),
    (0x20DD, 0x20E4),
    (0xA670, 0xA672),
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0x1F3FB, 0x1F3FF),  # skin tones
)
# Combining classes of marks that readers see as letters: Indic and Thai vowels, viramas, Tibetan vowels.
_LETTERS = frozenset({0, 9, 84, 91, 103, 118, 129, 130, 132})
# Letters without a decomposition, as people without them on their keyboards write them.
_REPLACEMENTS = {
    "ı": "i", "ȷ": "j", "đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ŧ": "t", "ŋ": "n", "ĸ": "k", "þ": "th",
    "æ": "ae", "œ": "oe", "ə": "e", "ǝ": "e", "ɛ": "e", "ɔ": "o", "ɑ": "a", "ɡ": "g", "ƀ": "b", "ɓ": "b", "ƈ": "c",
    "ȼ": "c", "ɖ": "d", "ɗ": "d", "ɇ": "e", "ƒ": "f", "ǥ": "g", "ɠ": "g", "ɨ": "i", "ɉ": "j", "ƙ": "k", "ƚ": "l",
    "ɫ": "l", "ɲ": "n", "ƞ": "n", "ɵ": "o", "ƥ": "p", "ɍ": "r", "ȿ": "s", "ⱥ": "a", "ⱦ": "t", "ƭ": "t", "ʈ": "t",
    "ʉ": "u", "ʋ": "v", "ƴ": "y", "ɏ": "y", "ƶ": "z", "ȥ": "z", "ɀ": "z",
    "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ꜰ": "f", "ɢ": "g", "ʜ": "h", "ɪ": "i", "ᴊ": "j", "ᴋ": "k",
    "ʟ": "l", "ᴍ": "m", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ꞯ": "q", "ʀ": "r", "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v",
    "ᴡ": "w", "ʏ": "y", "ᴢ": "z",
    "ک": "ك", "ی": "ي", "ى": "ي", "ې": "ي", "ہ": "ه", "ھ": "ه", "ە": "ه", "ة": "ه", "ٱ": "ا",
    "‘": "'", "’": "'", "‛": "'", "ʻ": "'", "ʼ": "'", "ʹ": "'", "ʾ": "'", "ʿ": "'", "′": "'", "`": "'",
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‐": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "\u2800": " ",
}  # fmt: skip
_NEGATIVE_LETTERS = {first + offset: chr(97 + offset) for first in (0x1F150, 0x1F170) for offset in range(26)}
_TABLE: dict[int, str | None] = {
    **{code: None for first, last in _DROPPED for code in range(first, last + 1)},
    **{ord(char): replacement for char, replacement in _REPLACEMENTS.items()},
    **_NEGATIVE_LETTERS,
}


def fold(text: str) -> str:
    """Return the NFKC casefold without marks, ignorable characters and outer white space; inner white space is one space.

    Hangul and Indic vowels are kept. The result has no control characters.
    """
    if text.isascii():
        folded = text.casefold()
    else:
        characters = normalize("NFKD", normalize("NFKC", text).casefold())
        folded = "".join(char for char in characters if combining(char) in _LETTERS)
    return normalize("NFC", " ".join(folded.translate(_TABLE).split()))
