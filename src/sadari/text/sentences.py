"""The sentences of Korean and English text, by rules."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?。…])[\"'”’)\]]*\s+|\n+")
_HEADING = re.compile(r"#{1,6}[ \t]")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Character spans `[start, end)` of the sentences of `text`, without surrounding white space.

    A sentence ends at a full stop, question or exclamation mark that white space follows, or at a line break. Markdown heading
    lines are not sentences.
    """
    spans, start = [], 0
    for end, following in [(m.start(), m.end()) for m in _SENTENCE_END.finditer(text)] + [(len(text), len(text))]:
        sentence = text[start:end]
        # "1. " opens a list item, it does not end a sentence.
        if re.fullmatch(r"\s*\d+\.", sentence) and end < len(text):
            continue
        stripped = sentence.strip()
        if stripped and not _HEADING.match(stripped):
            lead = len(sentence) - len(sentence.lstrip())
            spans.append((start + lead, start + lead + len(stripped)))
        start = following
    return spans
