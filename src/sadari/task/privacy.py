"""Personal data in the rows and documents of a task; looked for by `sadari.text.privacy`."""

from sadari.text.privacy import KINDS, find_personal, value_of

__all__ = ["KINDS", "find_personal", "value_of"]
