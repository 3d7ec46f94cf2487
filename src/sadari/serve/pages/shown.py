"""Numbers as people read them, in the words of a page."""

from collections.abc import Mapping
from datetime import datetime

from sadari.serve.figures import Share


class Shown:
    """Numbers in the language of some words."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def seconds(self, seconds: float | None) -> str:
        """A time that something took."""
        if seconds is None:
            return "–"
        if seconds < 1:
            return f"{1000 * seconds:.0f} ms"
        if seconds < 120:
            return self._words["in_seconds"].format(n=f"{seconds:.3g}")
        if seconds < 2 * 3600:
            return self._words["in_minutes"].format(n=f"{seconds / 60:.0f}")
        return self._words["in_hours"].format(n=f"{seconds / 3600:.1f}")

    def share(self, share: float | None) -> str:
        """A share as per cent."""
        return "–" if share is None else f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"

    def interval(self, share: Share) -> str:
        """A share with its interval."""
        if not share.of:
            return self._words["no_data"]
        told = {"low": self.share(share.low), "high": self.share(share.high), "count": f"{share.count:,}", "of": f"{share.of:,}"}
        return self._words["interval"].format(**told)

    def number(self, number: float | None) -> str:
        """A count, or an amount of money."""
        if number is None:
            return "–"
        return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:.3g}"

    def moment(self, moment: datetime | str) -> str:
        """A time of day, by this machine's clock."""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return f"{at.astimezone():%Y-%m-%d %H:%M}"

    def error(self, name: str) -> str:
        """A kind of error."""
        kind, _, what = name.partition(":")
        return self._words[f"error_{kind}"].format(name=what)
