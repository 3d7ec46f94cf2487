"""Advice that the law leaves to professionals: medical, legal, investment. It is told with a notice, or not at all.

Covered: an answer that speaks of a topic, or answers a question about it, and advises: tells to take, to sue, to buy. Topics are
lists of words, to which a company adds its own.

Not covered: advice without any of the words; whether the advice is right; what the law of a country asks for in such a notice.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from sadari.agent.guard import Checked
from sadari.text.forms import compared
from sadari.types import Answer, Caller, Message

Topic = Literal["medical", "legal", "investment"]

_WORDS: dict[str, str] = {
    "medical": (
        "복용 용량 투약 처방 진단 증상 부작용 약을 알약 진통제 항생제 해열제 타이레놀 치료 수술 혈압 당뇨 임신 통증 우울증 "
        "밀리그램 mg "
        "dose dosage medication medicine prescription diagnosis symptom symptoms treatment antibiotic ibuprofen paracetamol "
        "painkiller pregnancy tablet tablets"
    ),
    "legal": (
        "소송 고소 고발 합의금 위약금 손해배상 형량 벌금 처벌 변호사 위법 불법 계약해지 상속 이혼 판례 법적 소멸시효 민사 형사 "
        "lawsuit suing liable liability damages contract statute court attorney lawyer illegal divorce inheritance"
    ),
    "investment": (
        "매수 매도 종목 주식 펀드 코인 비트코인 수익률 투자 상장 배당 레버리지 선물옵션 손절 익절 목표가 원금 보장 "
        "stock stocks shares bond bonds fund bitcoin crypto portfolio invest investing investment dividend leverage returns"
    ),
}
_ADVISES = re.compile(
    r"(?:하|드|사|파|받|쓰|먹|맞|넣|들|끊|늘리|줄이)(?:시|으시)?(?:세요|십시오|면 됩니다|면 돼요|는 것이 좋|는 게 좋|셔야|시면)|"
    r"(?:해야|해도 됩니다|해도 돼요|하셔도|추천|권장|권해|권유|바랍니다|좋습니다|괜찮습니다|이길 수|받을 수 있)|확실|보장|"
    r"\b(?:you should|you must|you can|should|must|recommend|advise|suggest|consider|take|buy|sell|hold|file|guarantee[ds]?)\b",
    re.IGNORECASE,
)
_NOTICES: dict[str, dict[str, str]] = {
    "ko": {
        "medical": "※ 일반적인 정보이며 의학적 조언이 아닙니다. 진단과 복용은 의사나 약사와 상의하세요.",
        "legal": "※ 일반적인 정보이며 법률 자문이 아닙니다. 구체적인 사안은 변호사와 상의하세요.",
        "investment": "※ 일반적인 정보이며 투자 권유가 아닙니다. 투자에는 손실 위험이 있으며 책임은 투자자에게 있습니다.",
    },
    "en": {
        "medical": "Note: general information, not medical advice. Ask a doctor or pharmacist.",
        "legal": "Note: general information, not legal advice. Ask a lawyer about your case.",
        "investment": "Note: general information, not investment advice. Investments can lose value.",
    },
}
_REFUSALS: dict[str, dict[str, str]] = {
    "ko": {
        "medical": "죄송합니다. 의학적 조언은 드릴 수 없습니다. 의사나 약사와 상의해 주세요.",
        "legal": "죄송합니다. 법률 자문은 드릴 수 없습니다. 변호사와 상의해 주세요.",
        "investment": "죄송합니다. 투자 조언은 드릴 수 없습니다.",
    },
    "en": {
        "medical": "I am sorry, I cannot give medical advice. Please ask a doctor or pharmacist.",
        "legal": "I am sorry, I cannot give legal advice. Please ask a lawyer.",
        "investment": "I am sorry, I cannot give investment advice.",
    },
}


class AdviceRule(BaseModel, frozen=True, extra="forbid"):
    """What becomes of advice on one topic."""

    topic: str = Field(description="medical, legal or investment; or a name of your own, with `words`.")
    action: Literal["notice", "refuse"] = Field(default="notice", description="Tell it with a notice, or refuse.")
    words: tuple[str, ...] = Field(default=(), description="Further words by which the topic is known.")
    text: str = Field(default="", description="The notice, or the refusal; one in the language of the conversation if not given.")

    @model_validator(mode="after")
    def _is_whole(self) -> "AdviceRule":
        if self.topic not in _WORDS and not (self.words and self.text):
            raise ValueError(f"topic `{self.topic}` is not one of {', '.join(_WORDS)}: give it `words` and `text`")
        return self


class AdviceOptions(BaseModel, frozen=True, extra="forbid"):
    """Regulated advice, as written under `agent: filters: advice:`."""

    rules: tuple[AdviceRule, ...] = Field(
        default=tuple(AdviceRule(topic=topic) for topic in _WORDS),
        description="One rule for each topic; the first that refuses counts.",
    )


class AdviceFilter:
    """A `Filter` for regulated advice."""

    needs_whole = False

    def __init__(self, options: AdviceOptions) -> None:
        self._topics = tuple((rule, _pattern(rule)) for rule in options.rules)
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer with the notices that it needs, or a refusal in its place."""
        asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
        found = list(self._found(answer.text, asked))
        refused = next((rule for rule in found if rule.action == "refuse"), None)
        if refused is not None:
            text = refused.text or _REFUSALS[caller.language][refused.topic]
            return Checked(replace(answer, text=text, citations=()), (f"advice: {refused.topic}: refuse",))
        notices = dict.fromkeys(rule.text or _NOTICES[caller.language][rule.topic] for rule in found)
        told = "".join(f"\n\n{notice}" for notice in notices if notice not in answer.text)
        findings = tuple(f"advice: {rule.topic}: notice" for rule in found)
        return Checked(replace(answer, text=answer.text + told), findings)

    def _found(self, text: str, asked: str) -> Iterator[AdviceRule]:
        said = compared(text)
        if _ADVISES.search(said):
            yield from (rule for rule, pattern in self._topics if pattern.search(said) or pattern.search(compared(asked)))


def _pattern(rule: AdviceRule) -> re.Pattern[str]:
    words = [*_WORDS.get(rule.topic, "").split(), *rule.words]
    spelt = (rf"\b{re.escape(w)}\b" if w.isascii() and w.isalpha() else re.escape(w) for w in words)
    return re.compile("|".join(spelt), re.IGNORECASE)
