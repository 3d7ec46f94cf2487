"""Questions in a sentence's own words: 배송비는 ... becomes 배송비는 얼마인가요?, without a model.

A question is made from the subject of a sentence, from its condition, or from the title above it; a sentence that offers none of
these is left alone.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sadari.task.generate.particles import with_particle
from sadari.task.generate.speech_ko import tokens_of
from sadari.types import Chunk

LONGEST = 600
"""Characters of a sentence that are read."""

Found = tuple[Chunk, str, str]
"""The sentence that answers, the question, and what it is about: two sentences about the same are told apart by nobody."""


def questions_of(passage: Chunk, sentences: Sequence[Chunk]) -> Iterator[Found]:
    """The questions that a passage offers, at most one for each sentence and one for its title."""
    is_korean = re.search("[가-힣]", passage.text) is not None
    heading = passage.title.rsplit(" - ", 1)[-1].strip()
    for at, sentence in enumerate(sentences):
        if not 10 <= len(sentence.text) <= LONGEST or sentence.text.lstrip().startswith(("|", "```", "!", "<")):
            continue
        found = _korean(sentence.text, at) if is_korean else _english(sentence.text)
        if found is not None:
            yield sentence, *found
        elif at == 0 and 2 <= len(heading) <= 40 and " - " in passage.title:
            yield sentence, _about(heading, is_korean), heading


def _about(heading: str, is_korean: bool) -> str:
    return f"{heading}에 대해 알려 주세요." if is_korean else f"What do I need to know about {heading[0].lower()}{heading[1:]}?"


# --- Korean -------------------------------------------------------------------------------------------------------------

_MONEY = re.compile(r"\d\s*(?:천|만|억)?\s*원|달러|%")
_MONEY_NOUN = re.compile(r"(?:비|료|금|금액|가격|요금|비용|수수료|보증금|연회비|한도|요율|할인율|적립률|이율|값)$")
_PERIOD_NOUN = re.compile(r"(?:기간|기한|유효 ?기간|소요 ?시간)$")
_TIME_NOUN = re.compile(r"(?:시간|시각|일정|날짜|마감|발표일|휴무일|시기)$")
_PLACE_NOUN = re.compile(r"(?:장소|위치|주소|반품지|보내는 곳|받는 곳)$")
_HOW = re.compile(r"면 (?:됩니다|돼요|됩니다만)\.?$")
_POLITE_IF = re.compile(r"(?P<joint>으?)시(?P<end>면|려면)$")
_KEEPS_SI = re.compile(r"(?:계|드|주무|모|마)시(?:면|려면)$")
_TOPIC = ("은", "는", "ᆫ")
_LEAST_TOPIC, _LONGEST_TOPIC = 2, 40
_ASKS = {
    "어떻게 하": ("{topic} 어떻게 하나요?", "{topic} 어떻게 하면 되나요?"),
    "어떻게 되": ("{topic} 어떻게 되나요?", "{about} 알고 싶어요.", "{about} 알려 주세요.", "{subject} 궁금합니다."),
}


def _korean(sentence: str, turn: int) -> tuple[str, str] | None:
    tokens = tokens_of(sentence)
    at = _topic_end(tokens)
    condition = _condition(sentence, tokens)
    if condition is not None and (at is None or turn % 2 == 0):
        return condition
    if at is None:
        return None
    topic = sentence[: tokens[at].start].strip(" '\"“‘[(-*")
    return (_asked(topic, sentence, tokens[at - 1].tag, turn), topic) if _LEAST_TOPIC <= len(topic) <= _LONGEST_TOPIC else None


def _topic_end(tokens: Sequence[Any]) -> int | None:
    """Where 은 or 는 ends the subject of the whole sentence; None if a clause or another particle comes before it."""
    for at, token in enumerate(tokens):
        # A clause is over, or the subject is spoken of with 시 or with 도 and 만, which no question would repeat.
        if token.tag in ("EC", "EF", "EP", "MAJ", "SF") or (token.tag == "JX" and token.form not in _TOPIC):
            return None
        if token.tag == "JX" and token.form in _TOPIC:
            before = tokens[at - 1] if at else None
            if before is None or before.form in ("경우", "때", "것", "수", "중"):
                return None
            is_noun = before.tag.startswith(("NNG", "NNP", "XSN", "SL", "SN", "SSC", "ETN", "NNB"))
            begins = tokens[0].tag not in ("NP", "MM", "MAG", "SSO", "JX")
            return at if is_noun and begins else None
    return None


def _asked(topic: str, sentence: str, tag: str, turn: int) -> str:
    rest = sentence[len(topic) :]
    subject = with_particle(topic, "은")
    if _MONEY_NOUN.search(topic) and _MONEY.search(rest):
        return f"{subject} 얼마인가요?"
    if _PERIOD_NOUN.search(topic) and re.search(r"\d|[한두세네]\s?(?:달|해|주|시간)", rest):
        return f"{with_particle(topic, '이')} 얼마나 되나요?"
    if _PLACE_NOUN.search(topic) and re.search("(?:입니다|있습니다|이며|이고)", rest):
        return f"{with_particle(topic, '이')} 어디인가요?"
    if _TIME_NOUN.search(topic) and re.search(r"\d\s?(?:시|일|월)|요일|부터|까지", rest):
        return f"{subject} 언제인가요?"
    forms = _ASKS["어떻게 하" if _HOW.search(sentence) and tag in ("NNG", "ETN") and _is_deed(topic) else "어떻게 되"]
    form = forms[turn % len(forms)]
    return form.format(topic=subject, about=f"{topic}에 대해", subject=with_particle(topic, "이"))


_DEEDS = re.compile(
    r"(?:신청|변경|조회|취소|교환|반품|환불|결제|주문|예약|등록|확인|가입|탈퇴|발급|사용|이용|접수|문의|수정|설정|해지|충전|적립|기)$"
)


def _is_deed(topic: str) -> bool:
    return _DEEDS.search(topic) is not None


def _condition(sentence: str, tokens: Sequence[Any]) -> tuple[str, str] | None:
    """출고 뒤에 바꾸시면 ...: 출고 뒤에 바꾸면 어떻게 되나요?"""
    for token in tokens:
        if token.tag != "EC":
            continue
        clause, rest = sentence[: token.end].strip(), sentence[token.end :].strip(" ,")
        if token.form not in ("면", "으면", "려면", "으려면", "다면") or not 6 <= len(clause) <= 60:
            return None
        if rest.startswith(("됩", "되", "돼", "안 됩", "좋")) or tokens[0].tag in ("MAJ", "NP", "MM"):
            return None  # "누르시면 됩니다" says how, not what if
        plain = _without_honour(clause)
        how = "어떻게 해야 하나요?" if token.form.endswith("려면") else "어떻게 되나요?"
        return f"{plain} {how}", plain
    return None


def _without_honour(clause: str) -> str:
    """One does not speak of oneself with 시: 바꾸시면 is asked as 바꾸면."""
    return clause if _KEEPS_SI.search(clause) else _POLITE_IF.sub(r"\g<joint>\g<end>", clause)


# --- English ------------------------------------------------------------------------------------------------------------

_SUBJECT = re.compile(
    r"^(?P<noun>(?:(?!\b(?:if|when|after|before|you|we|it|this|that|these|those|there|they|please|to|in|on|at|for) )"
    r"[A-Z][^,.;:]{2,60}?)) (?P<verb>is|are|was|were|can|must|may|cannot|takes?|lasts?|costs?|has|have|includes?|applies|apply|"
    r"starts?|begins?|ends?|carry|carries|do|does)\b",
    re.IGNORECASE,
)
_IF = re.compile(r"^(?P<clause>(?:If|When) [^,]{8,90}),", re.IGNORECASE)
_PRICE = re.compile(r"(?:fee|price|cost|charge|deposit|rate)$", re.IGNORECASE)


def _english(sentence: str) -> tuple[str, str] | None:
    condition = _IF.match(sentence)
    if condition:
        clause = _lower_first(condition["clause"])
        clause = re.sub(r"\byour\b", "my", re.sub(r"\byou are\b", "I am", clause))
        clause = re.sub(r"\byou\b", "I", clause)
        return f"What happens {clause}?", clause
    subject = _SUBJECT.match(sentence)
    if subject is None:
        return None
    noun, verb = _lower_first(subject["noun"]), subject["verb"].lower()
    noun = re.sub(r"\b[Yy]our\b", "my", noun)
    if _PRICE.search(noun) and verb == "is":
        return f"How much is {noun}?", noun
    rest = sentence[subject.end() :].lstrip()
    if verb in ("is", "are") and re.match(r"(?:the|a|an)\b|[A-Z0-9]", rest):
        return f"What {verb} {noun}?", noun
    return f"What applies to {noun}?", noun


def _lower_first(text: str) -> str:
    first = text.split(" ", 1)[0]
    is_name = (first.isupper() and len(first) > 1) or re.fullmatch(r"[A-Z]\w*(?:ish|ese|ean|ian|ench|erman)", first) is not None
    return text if is_name or first == "I" else text[0].lower() + text[1:]
