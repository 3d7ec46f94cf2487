"""Korean particles after any word: 을 or 를, 이 or 가, as the last sound of the word asks for."""

import re
from collections.abc import Mapping

_OPEN: Mapping[str, str] = {
    "은": "는",
    "이": "가",
    "을": "를",
    "과": "와",
    "으로": "로",
    "이야": "야",
    "이요": "요",
    "이에요": "예요",
    "이라는": "라는",
}
"""The particle after a consonant, and the one after a vowel."""

_CLOSED: Mapping[str, str] = {opened: closed for closed, opened in _OPEN.items()}
_RIEUL = 8
_DIGITS = {"0": 21, "1": _RIEUL, "3": 16, "6": 1, "7": _RIEUL, "8": _RIEUL}  # 영, 일, 삼, 육, 칠, 팔
_LETTERS = {"l": _RIEUL, "r": _RIEUL, "m": 16, "n": 4}  # 엘, 알, 엠, 엔
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$")
_SYMBOLS = "%$€¥℃"  # 퍼센트, 달러, 유로, 엔, 도: read as words that end in a vowel; ¥ is put right below
_ENGLISH_WORD = re.compile(r"[A-Za-z]*[a-z]$")
_ENGLISH_CLOSED = re.compile(r"(?:[lmn]e?|ng|[aeiou](?:ck|[kpt]))$", re.IGNORECASE)


def with_particle(word: str, particle: str) -> str:
    """`word` with the form of `particle` that its last sound needs: ("사과", "은") gives 사과는.

    Either form may be asked for. What stands in brackets at the end is not read aloud: 환율(USD)을. A word of foreign letters is
    read as people mostly do: letter by letter in capitals, else as it sounds.

    Raises:
        ValueError: If `particle` is not one that changes with the sound before it.
    """
    closed = particle if particle in _OPEN else _CLOSED.get(particle)
    if closed is None:
        raise ValueError(f"{particle!r} is no particle that changes: {', '.join(_OPEN)} are.")
    final = final_sound(word)
    keeps = final != 0 and not (closed == "으로" and final == _RIEUL)
    return word + (closed if keeps else _OPEN[closed])


def is_particle(text: str) -> bool:
    """Whether `text` is a particle with two forms, in either of them."""
    return text in _OPEN or text in _CLOSED


def final_sound(word: str) -> int:
    """Index of the final consonant that the word is read with, as Unicode counts them; 0 for a vowel."""
    bare = _ASIDE.sub("", word) or word
    last = next((char for char in reversed(bare) if char.isalnum() or char in _SYMBOLS), "")
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28
    if last in _DIGITS:
        return _DIGITS[last]
    if last == "¥":
        return 4
    if not (last.isascii() and last.isalpha()):
        return 0
    spelled = _ENGLISH_WORD.search(bare.rstrip("'\"”’)].,!? "))
    if spelled is None or len(spelled[0]) < 2:
        return _LETTERS.get(last.lower(), 0)
    if not _ENGLISH_CLOSED.search(spelled[0]):
        return 0
    return _RIEUL if spelled[0].lower().removesuffix("e").endswith("l") else 1
