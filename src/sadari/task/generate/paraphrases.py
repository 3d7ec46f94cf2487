"""The same question in other words: near to the old one, with every number and name in it, and no duplicate of any row.

Without a teacher the form of the sentence changes (얼마인가요? and 얼마인지 알려 주세요.), with one its words do.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random

from sadari.task.generate.collect import TAG, Generated, Order, Refusal, Stream, collect
from sadari.task.generate.particles import with_particle
from sadari.task.generate.said import numbers_of
from sadari.task.generate.speech_ko import tokens_of
from sadari.task.generate.teacher import ask_all, lesson, list_of_texts
from sadari.task.text import fold
from sadari.types import Example, Model, Request

LEAST_LIKE = 0.15
"""Least share of character pairs (Jaccard) with the old question: below it, it is another question."""

LONGEST = 500
"""Characters of a question that is put in other words."""

EACH = 4
"""Paraphrases that a teacher is asked for, for each question."""

_REWORD = """Put the question in other words, as other people would ask it, in the same language and with the same meaning. Keep
every number and name as it is written. Answer with one JSON object and nothing else:
{"paraphrases": ["...", "...", "...", "..."]}."""


def generate_paraphrases(examples: Sequence[Example], order: Order, teacher: Model | None = None) -> Generated:
    """Rows of `examples` with their last question put in other words, as many as the order asks for; answers and all else stay.

    Raises:
        ModelError: If the teacher does not answer at all.
    """
    fit = [example for example in examples if example.kind == "chat" and _is_asked(example)]
    Random(f"{order.seed}:paraphrases").shuffle(fit)
    worded = _by_form(fit, order) if teacher is None else _by_teacher(fit, order, teacher)
    left_out = len(examples) - len(fit)
    notes = [f"{left_out} rows end in no question of up to {LONGEST} characters."] if left_out else []
    return collect(order, worded, lambda example: None, notes=notes)


def _is_asked(example: Example) -> bool:
    prompt = example.prompt
    return bool(prompt) and prompt[-1].role == "user" and len(fold(prompt[-1].content)) > 0 and len(prompt[-1].content) <= LONGEST


def _by_form(examples: Sequence[Example], order: Order) -> Stream:
    """One paraphrase of every row, then a second of every row, and so on."""
    forms: list[tuple[Example, list[str]]] = []
    for example in examples:
        found = in_other_form(example.question, Random(f"{order.seed}:{example.id}"))
        if found:
            forms.append((example, found))
        else:
            yield Refusal("the form of the question cannot be changed", example.question)
    for turn in range(max((len(found) for _, found in forms), default=0)):
        for example, found in forms:
            if turn < len(found):
                yield _row(example, found[turn], turn + 1, "template")


def _by_teacher(examples: Sequence[Example], order: Order, teacher: Model) -> Stream:
    def questions() -> Iterator[tuple[Example, Request]]:
        for number, example in enumerate(examples):
            yield example, lesson(_REWORD, example.question, seed=order.seed + number)

    for example, reply in ask_all(teacher, questions()):
        texts = reply if isinstance(reply, Refusal) else list_of_texts(reply, "paraphrases", most=EACH * 2, most_chars=LONGEST)
        if isinstance(texts, Refusal):
            yield texts
        else:
            yield from (_row(example, text, number, "teacher") for number, text in enumerate(texts[:EACH], 1))


def _row(example: Example, question: str, number: int, by: str) -> Example | Refusal:
    fault = fault_of_paraphrase(example.question, question)
    if fault:
        return Refusal(fault, f"{question} for {example.question}")
    prompt = (*example.prompt[:-1], replace(example.prompt[-1], content=question))
    ends = example.messages[-1:] if len(example.messages) > len(example.prompt) else ()
    return replace(
        example,
        id=f"generated-paraphrase-{by}-{example.id}-{number}",
        messages=(*prompt, *ends),
        group=example.group or example.id,
        tags=(*(tag for tag in example.tags if tag != TAG), by, "paraphrase", TAG),
    )


def fault_of_paraphrase(question: str, other: str) -> str:
    """Why `other` is no paraphrase of `question`; "" if it may be one."""
    if fold(question) == fold(other):
        return "the paraphrase is the same question"
    if bool(re.search("[가-힣]", question)) != bool(re.search("[가-힣]", other)):
        return "the paraphrase is in another language"
    if not 0.4 <= len(fold(other)) / max(1, len(fold(question))) <= 2.5:
        return "the paraphrase is much shorter or longer"
    if numbers_of(question) != numbers_of(other):
        return "the paraphrase has other numbers"
    here, there = fold(question), fold(other)
    if any(fold(name) not in there for name in names_in(question)) or any(fold(name) not in here for name in names_in(other)):
        return "the paraphrase has other names"
    left, right = _pairs(question), _pairs(other)
    return "the paraphrase is another question" if len(left & right) < LEAST_LIKE * len(left | right) else ""


def names_in(text: str) -> set[str]:
    """What a paraphrase must keep: Korean proper nouns, words of capital or foreign letters, and what stands in quotation marks."""
    if not re.search("[가-힣]", text):
        return {m[0] for m in re.finditer(r"(?<=[a-z,;] )[A-Z][\w-]+|\b[A-Z]{2,}\b|\w*\d\w*", text)}
    proper = {token.form for token in tokens_of(text) if token.tag == "NNP" and len(token.form) > 1}
    return proper | set(re.findall(r"[A-Za-z][\w.-]*", text)) | {m[1] for m in re.finditer(r"['\"‘“]([^'\"’”]{1,40})['\"’”]", text)}


def _pairs(text: str) -> set[str]:
    folded = fold(text)
    return {folded[at : at + 2] for at in range(max(1, len(folded) - 1))}


# --- the form of a question ---------------------------------------------------------------------------------------------

_OPENER = re.compile(
    r"^(?:안녕하세요|안녕하십니까|저기요|혹시|실례지만|수고 ?하세요|수고 많으십니다|문의드려요|문의드립니다|질문 ?있습니다)"
    r"[,.!]?\s+"
)
_ENGLISH_OPENER = re.compile(r"^(?:hello|hi|hey|excuse me|good morning)[,.!]?\s+", re.IGNORECASE)
_TELL = (" 알려 주세요.", " 궁금합니다.", " 여쭤봅니다.", " 알 수 있을까요?", " 확인 부탁드립니다.")
_ASK = ("을 알려 주실 수 있나요?", "이 궁금합니다.", "을 알고 싶어요.", "에 대해 여쭤봅니다.")
_OPENINGS = ("", "", "안녕하세요. ", "문의드립니다. ", "혹시 ")

Change = Callable[[re.Match[str]], str]

_WHETHER: Sequence[tuple[re.Pattern[str], Change]] = (
    # 있나요? 되나요? 걸리나요? -> 있는지; 인가요? 한가요? -> 인지, 한지; 얼마예요? -> 얼마인지
    (re.compile(r"뭐(?:예요|에요|죠|인가요)\?$"), lambda m: "뭔지"),
    (re.compile(r"(?P<stem>[가-힣])나요\?$"), lambda m: m["stem"] + "는지"),
    (re.compile(r"(?P<stem>[가-힣])가요\?$"), lambda m: m["stem"] + "지" if _ends_in_n(m["stem"]) else ""),
    (re.compile(r"(?P<stem>[있없])(?:을까요|어요|습니까)\?$"), lambda m: m["stem"] + "는지"),
    (re.compile(r"(?:인가|입니까|이에요|예요|이죠|죠)\??$"), lambda m: "인지" if m[0][:2] in ("입니", "이에", "예요") else ""),
    (re.compile(r"(?:돼요|됩니까|되죠)\?$"), lambda m: "되는지"),
    (re.compile(r"(?:해요|합니까|하죠)\?$"), lambda m: "하는지"),
    (re.compile(r"(?:걸려요|걸립니까)\?$"), lambda m: "걸리는지"),
)
_ASKED_FOR = re.compile(
    r"(?P<before>.+?)(?P<particle>[을를이가도]|에 대해(?:서)?)?(?: 좀)? "
    r"(?:알려 ?(?:주세요|줘요|주실래요|주시겠어요|주실 수 있나요)|알 수 있을까요|궁금합니다|궁금해요|"
    r"궁금합니다만|알고 싶어요|알고 싶습니다|여쭤봅니다)[.?]?$"
)
_PLEASE = re.compile(r"(?P<stem>[가-힣]) ?(?:주세요|줘요|주십시오)\.?$")

_I_WONDER = ("Could you tell me {rest}?", "I would like to know {rest}.")
_HOW_TO = ("What do I have to do to {rest}?", "Please tell me how to {rest}.")
_ENGLISH: Sequence[tuple[re.Pattern[str], tuple[str, ...]]] = tuple(
    (re.compile(pattern, re.IGNORECASE), forms)
    for pattern, forms in (
        (r"^what (?:is|are) (?P<rest>(?:the|my|your|a|an) .+)\?$", _I_WONDER),
        (r"^can i (?P<rest>.+)\?$", ("I would like to know whether I can {rest}.", "Is it possible for me to {rest}?")),
        (r"^do you (?P<rest>.+)\?$", ("I would like to know whether you {rest}.", "Could you tell me if you {rest}?")),
        (r"^how (?:do|can) i (?P<rest>.+)\?$", _HOW_TO),
        (r"^(?P<rest>(?:who|which \w+|what) (?!(?:is|are|do|does|did|can|will|should|was|were) )\w+ .+)\?$", _I_WONDER),
        (r"^please (?P<rest>.+?)\.?$", ("Could you {rest}?", "I would like you to {rest}.")),
        (r"^(?:could|can) you (?P<rest>.+)\?$", ("Please {rest}.", "I need you to {rest}.")),
    )
)


def in_other_form(question: str, rng: Random) -> list[str]:
    """The question in other sentence forms, in an order that `rng` draws; [] if none is known that keeps its meaning."""
    is_korean = re.search("[가-힣]", question) is not None
    opener = _OPENER if is_korean else _ENGLISH_OPENER
    bare = opener.sub("", question.strip())
    forms = list(_korean_forms(bare) if is_korean else _english_forms(bare))
    forms = [form for form in dict.fromkeys(forms) if fold(form) != fold(bare)]
    rng.shuffle(forms)
    return [f"{_opening(form, rng)}{form}" for form in forms] if is_korean else forms


def _opening(form: str, rng: Random) -> str:
    """What may stand before the sentence: nothing before a story, 혹시 before a question alone."""
    if re.search(r"[.?!] ", form):
        return ""
    return rng.choice(_OPENINGS if form.endswith("?") else _OPENINGS[:-1])


def _korean_forms(question: str) -> Iterator[str]:
    asked = _ASKED_FOR.match(question)
    if asked:
        before = asked["before"]
        if asked["particle"] is None and before.endswith("지"):  # "얼마인지 알려 주세요"
            yield from (before + tail for tail in _TELL)
        elif asked["particle"] != "도" and not before.endswith(("지", "도", "것")):
            yield from (with_particle(before, tail[0]) + tail[1:] if tail[0] in "을이" else before + tail for tail in _ASK)
        return
    for pattern, change in _WHETHER:
        match = pattern.search(question)
        clause = change(match) if match else ""
        if match and clause:
            yield from (question[: match.start()] + clause + tail for tail in _TELL)
            return
    please = _PLEASE.search(question)
    if please:
        before = question[: please.end("stem")]
        yield from (f"{before} 주실 수 있나요?", f"{before} 주시겠어요?", f"{before} 주시면 감사하겠습니다.")


def _english_forms(question: str) -> Iterator[str]:
    for pattern, forms in _ENGLISH:
        match = pattern.match(question)
        if match:
            rest = match["rest"]
            if rest.startswith(("Who", "Which", "What")):
                rest = rest[0].lower() + rest[1:]
            yield from (form.format(rest=rest) for form in forms)
            return


def _ends_in_n(syllable: str) -> bool:
    return (ord(syllable) - ord("가")) % 28 == 4
