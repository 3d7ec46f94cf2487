# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Answer from given passages by copying the sentence, or say that they do not tell."""

from __future__ import annotations

import re
from random import Random
from string import ascii_letters
from typing import Any

from sadari.mini.skills import names as n
from sadari.mini.skills.passages import ATTRIBUTES_EN, ATTRIBUTES_KO, Fact, Passage, ask, scene, sibling
from sadari.mini.skills.rows import Message, Row
from sadari.prompt import sentence_marks

ABSTAIN_KO = "문서에서 확인할 수 없습니다."
ABSTAIN_EN = "The documents do not say."

SYSTEM_KO = (
    '고객 문의에 문서를 근거로 답하세요. 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '문서를 근거로 답하세요. 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '아래 문서만 보고 질문에 답합니다. 답이 없으면 "문서에서 확인할 수 없습니다."라고 합니다.',
    '당신은 고객 상담원입니다. 정책 문서를 근거로 정중하게 답하고, 문서에 없는 내용은 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '문서에서 질문의 답이 되는 문장을 찾아 그대로 옮겨 적으세요. 없으면 "문서에서 확인할 수 없습니다."라고 쓰세요.',
    '사내 규정 도우미입니다. 규정에 적힌 대로만 답하세요. 적혀 있지 않으면 "문서에서 확인할 수 없습니다."',
    '근거 문서에 있는 문장으로 답하십시오. 근거가 없으면 "문서에서 확인할 수 없습니다."라고 답하십시오.',
    '{goal} 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '{goal}\n문서를 근거로 답하세요. 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
)
GOALS_KO = (
    "고객 문의에 정책 문서를 근거로 정중하게 답합니다.",
    "직원의 질문에 사내 규정을 근거로 답하세요.",
    "시민의 민원에 안내문을 근거로 답한다.",
    "환자의 질문에 병원 안내를 보고 답해 주세요.",
    "제품 설명서를 바탕으로 사용자의 질문에 답합니다.",
    "학생들의 학사 문의에 답하는 도우미입니다.",
    "여행 상품 문의에 답하세요.",
    "은행 상품 안내를 근거로 상담합니다.",
    "온라인 상점 고객의 질문에 간결하게 답합니다.",
)
SHORT_KO = (
    "짧게 답하세요.",
    "단답형으로 답하세요.",
    "답만 짧게 쓰세요.",
    "핵심만 간단히 답하세요.",
    "한 단어나 짧은 구로 답하세요.",
)
SYSTEM_EN = (
    'Answer the question from the documents. If they do not contain the answer, say "The documents do not say."',
    'Answer the customer from the documents. If the answer is not there, reply "The documents do not say."',
    'Use only the documents below. If they do not tell, write "The documents do not say."',
    'You are a support agent. Copy the sentence that answers the question. If there is none, say "The documents do not say."',
    'Reply with the sentence of the documents that answers. Otherwise: "The documents do not say."',
)
MARKED_KO = (
    '{goal} 답이 되는 문장의 기호만 쓰고, 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '{goal} 답이 되는 문장의 기호만 쓰고, 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '질문에 답하는 문장의 기호를 고르세요. 문서에 없으면 "문서에서 확인할 수 없습니다."라고 답하세요.',
    '{goal}\n답은 문장의 기호로만 하세요. 답이 없으면 "문서에서 확인할 수 없습니다."',
)
MARKED_EN = (
    'Answer with the letter of the sentence that answers; if the documents do not say, answer "The documents do not say."',
    'Which sentence answers the question? Reply with its letter only, or with "The documents do not say."',
    'Pick the sentence that tells. If none does, reply "The documents do not say."',
)
SHORT_EN = ("Answer briefly.", "Give a short answer.", "Answer with a word or a short phrase.", "Only the answer, no sentence.")


def instruction(r: Random, ko: bool, *, short: bool, marked: bool = False) -> str:
    """A system text of the reading task."""
    if marked:
        return r.choice(MARKED_KO).replace("{goal}", r.choice(GOALS_KO)) if ko else r.choice(MARKED_EN)
    text = r.choice(SYSTEM_KO if ko else SYSTEM_EN).replace("{goal}", r.choice(GOALS_KO))
    if short:
        text += r.choice((" ", "\n")) + r.choice(SHORT_KO if ko else SHORT_EN)
    return text


def marks_for(count: int, r: Random, *, plain: bool) -> tuple[str, ...]:
    """Names of `count` sentences: A, B, C... as sadari serves them, or (not `plain`) sometimes letters in no order."""
    if plain or r.random() < 0.5 or count > len(ascii_letters):
        return tuple(sentence_marks(count))
    return tuple(r.sample(ascii_letters, count))


def lay_out(
    question: str, passages: list[Passage], r: Random, ko: bool, *, marks: tuple[str, ...] = (), plain: bool = False
) -> str:
    """The user turn: documents and the question, as sadari serves them, or (not `plain`) sometimes otherwise.

    With `marks`, every sentence is a line that begins with its mark; else passages are numbered.
    """
    varied = not plain and r.random() < 0.3
    heads = ("문서", "질문") if ko else ("Documents", "Question")
    if varied:
        heads = r.choice(_HEADS_VARIED_KO if ko else _HEADS_VARIED_EN)
    if marks:
        dot = r.choice((". ", ") ", ": ")) if varied else ". "
        named = iter(marks)
        documents = "\n".join(next(named) + dot + f"{p.title}: {sentence}" for p in passages for sentence in p.sentences)
        return f"{heads[0]}:\n{documents}\n\n{heads[1]}: {question}"
    if not varied:
        documents = "\n\n".join(f"[{i}] {p.title}\n" + "\n".join(p.sentences) for i, p in enumerate(passages, 1))
        return f"{heads[0]}:\n{documents}\n\n{heads[1]}: {question}"
    number = r.choice(("[{i}] ", "문서 {i}. " if ko else "Document {i}. ", "({i}) ", "### ", "- ", "<{i}> "))
    titled = r.random() < 0.7
    separator = r.choice(("\n\n", "\n", "\n---\n"))
    documents = separator.join(
        number.replace("{i}", str(i)) + (f"{p.title}\n" if titled else "") + (p.text if r.random() < 0.5 else "\n".join(p.sentences))
        for i, p in enumerate(passages, 1)
    )
    order = r.random()
    if order < 0.4:
        return f"{heads[0]}:\n{documents}\n\n{heads[1]}: {question}"
    if order < 0.6:
        return f"{heads[1]}: {question}\n\n{heads[0]}:\n{documents}\n\n{heads[1]}: {question}"
    if order < 0.75:
        return f"{documents}\n\n{question}"
    return f"{heads[1]}: {question}\n\n{heads[0]}:\n{documents}"


_HEADS_VARIED_KO = (("문서", "질문"), ("참고 문서", "문의"), ("자료", "물음"), ("정책", "고객 질문"), ("근거", "Q"))
_HEADS_VARIED_EN = (("Documents", "Question"), ("Context", "Q"), ("Sources", "Query"), ("Policies", "Customer"))


def _missing(passages: list[Passage], target: Passage, r: Random, ko: bool) -> str:
    """A question close to the documents that none of them answers."""
    taken = {f"{f.subject}/{f.attribute.key}" for p in passages for f in p.facts}
    facts = [f for p in passages for f in p.facts]
    base = r.choice(target.facts)
    if r.random() < 0.5:  # the thing is there, the attribute is not
        keys = {f.attribute.key for f in facts if f.subject == base.subject}
        options = [a for a in (ATTRIBUTES_KO if ko else ATTRIBUTES_EN) if a.key not in keys and not _close(a.key, keys)]
        if options:
            return ask(Fact(base.subject, r.choice(options), "", ""), r, ko)
    for _ in range(20):  # the attribute is there, the thing is not
        other = sibling(base.subject, r, ko)
        if f"{other}/{base.attribute.key}" not in taken and all(other not in f.subject and f.subject not in other for f in facts):
            return ask(Fact(other, base.attribute, "", ""), r, ko)
    return ask(Fact(n.brand(r, ko) + "QX", base.attribute, "", ""), r, ko)


_ALIKE = tuple(set(group.split()) for group in (
    "fee deposit rate discount free_from extra minimum cause_fee late_fee support", "hours closed often period interval cutoff", "where address origin return_to traffic gate parking", "phone email how team person receive menu carrier",
    "refund rate deadline period warranty change_until expire storage split_pay", "start deadline result_day pay_day since", "size capacity weight count limit", "penalty ban except together if_then late_fee cause_fee expire",
    "who limit count except agent grade approve who_pays", "gift included", "takes period interval cutoff", "material origin", "documents proof", "fix usage device if_then", "person team approve winner carrier agent", "how menu receive device pay",
    "code handled_by_law", "grade exam who minimum", "pay split_pay pay_day who_pays",
))


def _close(key: str, keys: set[str]) -> bool:
    """True if a question about `key` could be taken for one about any of `keys`."""
    return any(key in group and keys & group for group in _ALIKE)


def _ask(fact: Fact, r: Random, ko: bool) -> str:
    """A question worded otherwise, or (half of them) by some words of the sentence itself."""
    if r.random() > 0.5:
        return ask(fact, r, ko)
    rest = fact.sentence.replace(fact.subject, "").replace(fact.value, "")
    words = keywords(rest, r, ko, least=1)[: r.randint(1, 3)]
    if not words:
        return ask(fact, r, ko)
    said = " ".join(words) if ko else " ".join(words).lower()
    if ko:
        ending = r.choice(_ENDINGS_KO)
        text = f"{fact.subject} {said}" if r.random() < 0.8 else f"{said} {fact.subject}"
        return n.join_particles(f"{text}~{ending}") if ending.startswith(("은 ", "이 ")) else text + ending
    return r.choice(_HEADS_EN).format(f"{said} of the {fact.subject}" if r.random() < 0.5 else f"{fact.subject} {said}")


def read_facts(
    r: Random,
    *,
    passages: int,
    size: int,
    plain: bool = False,
    ko: bool | None = None,
    form: str | None = None,
    marked: bool | None = None,
) -> Row:
    """A question about invented documents.

    Args:
        form: "sentence", "two", "short" or "abstain"; drawn if None.
        marked: Whether sentences are named by their marks instead of copied; drawn if None.
    """
    ko = r.random() < 0.65 if ko is None else ko
    documents, k = scene(r, ko, passages, size)
    target = documents[k]
    form = form or r.choices(("sentence", "two", "short", "abstain"), (0.6, 0.15, 0.12, 0.13))[0]
    marked = form != "short" and (r.random() < 0.75 if marked is None else marked)
    chosen: list[str] = []
    if form == "abstain":
        question = _missing(documents, target, r, ko)
    else:
        fact = r.choice(target.facts)
        chosen, question = [fact.sentence], ""
        if form == "two":
            first, second = fact, r.choice(r.choice(documents).facts)
            if second.sentence != first.sentence:
                question = _join(first, second, r, ko)
                chosen.append(second.sentence)
        question = question or (ask if plain else _ask)(fact, r, ko)
        if form == "short":
            chosen = [fact.value]
    marks = marks_for(sum(len(p.sentences) for p in documents), r, plain=plain) if marked else ()
    messages: tuple[Message, ...] = (
        {"role": "user", "content": lay_out(question, documents, r, ko, marks=marks, plain=plain)},
        {"role": "assistant", "content": _answer(chosen, documents, marks, ko)},
    )
    if plain or marked or form == "short" or r.random() > 0.1:
        messages = ({"role": "system", "content": instruction(r, ko, short=form == "short", marked=marked)}, *messages)
    return Row("read", messages, facts=_told(documents, marks) | {"form": form, "ko": ko, "place": k})


def read_many(r: Random, *, passages: int, size: int) -> Row:
    """Documents once, then several questions in turn: many answers for few tokens."""
    ko = r.random() < 0.65
    documents, _ = scene(r, ko, passages, size)
    facts = [f for p in documents for f in p.facts]
    marked = r.random() < 0.85
    short = not marked and r.random() < 0.4
    turns: list[tuple[str, list[str]]] = []
    for fact in r.sample(facts, min(len(facts), r.randint(2, 6))):
        other = r.choice(facts)
        if marked and r.random() < 0.12 and other.sentence != fact.sentence:
            turns.append((_join(fact, other, r, ko), [fact.sentence, other.sentence]))
        else:
            turns.append((_ask(fact, r, ko), [fact.value if short else fact.sentence]))
    for _ in range(r.choice((0, 0, 0, 1, 1, 2))):
        turns.insert(r.randint(0, len(turns)), (_missing(documents, r.choice(documents), r, ko), []))
    marks = marks_for(sum(len(p.sentences) for p in documents), r, plain=False) if marked else ()
    messages: list[Message] = [{"role": "system", "content": instruction(r, ko, short=short, marked=marked)}]
    for i, (question, chosen) in enumerate(turns):
        asked = f"질문: {question}" if ko else f"Question: {question}"
        messages.append({"role": "user", "content": asked if i else lay_out(question, documents, r, ko, marks=marks)})
        messages.append({"role": "assistant", "content": _answer(chosen, documents, marks, ko)})
    return Row("read_many", tuple(messages), facts=_told(documents, marks))


def _join(first: Fact, second: Fact, r: Random, ko: bool) -> str:
    """One question that asks for two facts."""
    if first.subject == second.subject and r.random() < 0.5:
        return ask(first, r, ko, second)
    one, two = ask(first, r, ko).rstrip("?. "), ask(second, r, ko)
    return one + r.choice(("? 그리고 ", "하고 ", ", 그리고 ", "와 함께 ", "? 또 ") if ko else ("? Also, ", ", and ", "? And ")) + two


def _answer(chosen: list[str], documents: list[Passage], marks: tuple[str, ...], ko: bool) -> str:
    """The chosen texts, or their marks; the abstention where nothing is chosen."""
    if not chosen:
        return ABSTAIN_KO if ko else ABSTAIN_EN
    if not marks:
        return " ".join(chosen)
    sentences = [s for p in documents for s in p.sentences]
    return ",".join(marks[sentences.index(c)] for c in chosen)


def _told(documents: list[Passage], marks: tuple[str, ...]) -> dict[str, Any]:
    """What the row was made from."""
    sentences = tuple(s for p in documents for s in p.sentences)
    return {"passages": tuple(p.text for p in documents), "sentences": sentences, "marks": marks}


_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_PARTICLE = re.compile(
    r"(에서는|에게서|으로는|이라는|에서|에게|으로|까지|부터|처럼|보다|이나|하고|라고|들은|들이|들을|은|는|이|가|을|를|의|에|로|와|과|도|만)$"
)
_VERB = re.compile(
    r"(합니다|했습니다|입니다|됩니다|습니다|하세요|있다|없다|한다|된다|이다|하는|되는|있는|없는|하고|하여|해서|하면|되어|니다|어요|아요|네요|다)$"
)
_STOP = set(
    ["the", "a", "an", "of", "to", "in", "and", "is", "are", "was", "were", "be", "that", "this", "it", "for", "on", "with", "as", "by", "or", "from", "at", "which", "not", "you", "your", "can", "will", "have", "has", "their", "its", "if", "we", "our", "but", "they", "all", "he", "his", "i"]
)
_ENDINGS_KO = (
    "에 대해 알려 주세요",
    "에 대해 설명해 주세요",
    "인가요?",
    "는요?",
    "은 무엇인가요?",
    "이 궁금합니다",
    " 관련 내용 알려 주세요",
    " 어떻게 되나요?",
    "?",
    "",
    " 뭐라고 하나요?",
    " 관련해서 문의드립니다",
    " 맞나요?",
    " 왜 그런가요?",
    " 언제인가요?",
)
_HEADS_EN = (
    "What about {}?",
    "Tell me about {}.",
    "{}?",
    "What does it say about {}?",
    "How about {}?",
    "I want to know about {}.",
    "{}",
    "Is there something on {}?",
    "Explain {}.",
)


def split_sentences(text: str) -> list[str]:
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


def keywords(sentence: str, r: Random, ko: bool, *, least: int = 3) -> list[str]:
    """A random subset of the content words, inflections cut, mostly in order."""
    words = re.findall(r"[\w%,.\-]*\w", sentence)
    stems = []
    for word in words:
        if ko:
            stem = _VERB.sub("", word) if r.random() < 0.8 else word
            stem = _PARTICLE.sub("", stem) if len(stem) > 2 and r.random() < 0.85 else stem
            if len(stem) >= 2:
                stems.append(stem)
        elif word.lower() not in _STOP and len(word) > 2:
            stems.append(word)
    if len(stems) < least:
        return []
    count = min(len(stems), r.choice((2, 3, 3, 4, 4, 5, 6)))
    chosen = sorted(r.sample(range(len(stems)), count))
    if r.random() < 0.3:
        r.shuffle(chosen)
    return [stems[i] for i in chosen]


def read_corpus(r: Random, texts: list[str], ko: bool, *, passages: int, size: int) -> Row | None:
    """Sentences of real prose, asked for by some of their words; the answer is the sentence (or its mark), or that it is not there."""
    windows = _windows(r, texts, passages, size)
    if not windows:
        return None
    marked = r.random() < 0.7
    everything = [s for w in windows for s in w]
    turns: list[tuple[str, list[str]]] = []
    for sentence in r.sample(everything, min(len(everything), r.randint(2, 6) if marked else 1)):
        question = _about(sentence, everything, r, ko)
        if question and len(sentence) <= 170:
            turns.append((question, [sentence]))
    if not turns:
        return None
    if len(everything) > 2 and r.random() < 0.2:  # the sentence that the last question asks for is taken out
        gone = turns[-1][1][0]
        windows = [[s for s in w if s != gone] for w in windows]
        turns[-1] = (turns[-1][0], [])
        r.shuffle(turns)
    windows = [w for w in windows if w]
    r.shuffle(windows)
    documents = [Passage(_heading(w, r, ko), r.choice((" ", "\n")).join(w), tuple(w)) for w in windows]
    marks = marks_for(sum(map(len, windows)), r, plain=False) if marked else ()
    messages: list[Message] = []
    if marked or r.random() < 0.9:
        messages.append({"role": "system", "content": instruction(r, ko, short=False, marked=marked)})
    for i, (question, chosen) in enumerate(turns):
        asked = f"질문: {question}" if ko else f"Question: {question}"
        messages.append({"role": "user", "content": asked if i else lay_out(question, documents, r, ko, marks=marks)})
        messages.append({"role": "assistant", "content": _answer(chosen, documents, marks, ko)})
    return Row("read_corpus", tuple(messages), facts=_told(documents, marks) | {"ko": ko})


def _windows(r: Random, texts: list[str], passages: int, size: int) -> list[list[str]]:
    """Runs of neighbouring sentences, no sentence twice; empty if the first text drawn is too short."""
    windows: list[list[str]] = []
    taken: set[str] = set()
    sentences = split_sentences(r.choice(texts))
    for i in range(passages):
        if i and r.random() < 0.6:
            sentences = split_sentences(r.choice(texts))
        usable = [s for s in sentences if 12 <= len(s) <= 260]
        if len(usable) < 2:
            if i == 0:
                return []
            continue
        start = r.randrange(0, max(1, len(usable) - size + 1))
        window = [s for s in dict.fromkeys(usable[start : start + max(1, size + r.choice((-1, 0, 0, 1)))]) if s not in taken]
        if window:
            windows.append(window)
            taken.update(window)
    return windows


def _about(sentence: str, everything: list[str], r: Random, ko: bool) -> str:
    """A question made of words of `sentence` that no other sentence holds all of; "" if there is none."""
    words = keywords(sentence, r, ko)
    if len(words) < 2 or any(all(w in other for w in words) for other in everything if other != sentence):
        return ""
    if not ko:
        question = r.choice(_HEADS_EN).format(" ".join(words))
        return question.lower() if r.random() < 0.3 else question
    stem, ending = " ".join(words), r.choice(_ENDINGS_KO)
    return n.join_particles(f"{stem}~{ending}") if ending.startswith(("은 ", "이 ")) else stem + ending


def _heading(window: list[str], r: Random, ko: bool) -> str:
    some = r.choice(window).split()
    if r.random() < 0.5:
        return " ".join(some[: r.randint(1, 4)]).strip("#-* ")
    return f"{n.word_ko(r) if ko else n.word_en(r)} {some[0]}".strip("#-* ")
