"""Personal data in answers. What is found, and what is not: `sadari.text.privacy`."""

import hashlib
import re
from collections.abc import Sequence

from pydantic import BaseModel, Field, field_validator

from sadari.agent.filters.edits import REFUSALS, Edit, Handling, handled
from sadari.agent.guard import Checked
from sadari.text.findings import Finding
from sadari.text.privacy import KINDS, find_personal, value_of
from sadari.types import Answer, Caller, Message

_PUBLISHED = ("business", "corporate", "phone", "email", "address", "name", "ip")
"""Kinds that a company prints in its own documents."""

_NAMES: dict[str, dict[str, str]] = {
    "ko": dict(
        zip(
            KINDS,
            (
                "주민번호",
                "사업자번호",
                "법인번호",
                "카드번호",
                "면허번호",
                "여권번호",
                "이메일",
                "전화번호",
                "계좌번호",
                "IP",
                "주소",
                "이름",
            ),
            strict=True,
        )
    ),
    "en": {kind: kind for kind in KINDS} | {"resident": "ID number", "ip": "IP address", "licence": "licence number"},
}


class PersonalOptions(BaseModel, frozen=True, extra="forbid"):
    """What becomes of personal data, as written under `agent: filters: personal:`."""

    action: Handling = Field(default="mask", description="Put a placeholder, say behind it what it is, or refuse the answer.")
    kinds: tuple[str, ...] = Field(
        default=tuple(kind for kind in KINDS if kind not in ("business", "corporate", "ip")),
        description="Kinds that are looked for.",
    )
    keep: tuple[str, ...] = Field(default=(), description="Values that may be told, such as the company's own telephone number.")
    own: bool = Field(default=True, description="Whether a user may be told what he said himself in the conversation.")
    cited: bool = Field(
        default=True,
        description="Whether telephone numbers, addresses and the like may be told that stand in a document the answer cites.",
    )

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"`{unknown[0]}` is no kind. Kinds: {', '.join(KINDS)}")
        return kinds


class PersonalFilter:
    """A `Filter` for personal data."""

    needs_whole = False

    def __init__(self, options: PersonalOptions) -> None:
        self._options = options
        self._keep = frozenset(map(_plain, options.keep))
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer without personal data that the user did not say himself."""
        known: set[tuple[str, str]] = set()
        if self._options.own:
            known |= {_key(f) for m in messages if m.role == "user" for f in find_personal(m.content)}
        if self._options.cited:
            quoted = [f for span in answer.citations for f in find_personal(span.quote)]
            known |= {_key(f) for f in quoted if f.kind in _PUBLISHED}
        names = _NAMES[caller.language]

        def find(text: str) -> list[Edit]:
            found = [f for f in find_personal(text) if f.kind in self._options.kinds]
            kept = (f for f in found if _key(f) not in known and _plain(f.text) not in self._keep)
            return [Edit(f.start, f.end, f"personal: {f.kind}", f"[{names[f.kind]}]", f" [{names[f.kind]}]") for f in kept]

        return handled(answer, find, self._options.action, REFUSALS[caller.language])


def _key(finding: Finding) -> tuple[str, str]:
    return finding.kind, value_of(finding)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()
