"""What is told to the model, in the language of its conversation."""

from collections.abc import Iterable
from typing import Literal

from sadari.errors import ToolFailedError

Language = Literal["ko", "en"]


def said(language: Language, ko: str, en: str) -> str:
    """The text in that language."""
    return ko if language == "ko" else en


def failed(language: Language, ko: str, en: str) -> ToolFailedError:
    """A failure that the model can mend."""
    return ToolFailedError(said(language, ko, en))


def meant(language: Language, names: Iterable[str]) -> str:
    """The names that may have been meant, as the end of a sentence; "" for none."""
    listed = ", ".join(names)
    return said(language, f" 비슷한 이름: {listed}.", f" Did you mean {listed}?") if listed else ""
