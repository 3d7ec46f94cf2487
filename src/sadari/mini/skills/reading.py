# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Answer from given passages by copying the sentence, or say that they do not tell."""

from __future__ import annotations

import re
from random import Random

from sadari.mini.skills import names as n
from sadari.mini.skills.passages import ATTRIBUTES_EN, ATTRIBUTES_KO, Fact, Passage, ask, scene, sibling
from sadari.mini.skills.rows import Message, Row

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
SHORT_EN = ("Answer briefly.", "Give a short answer.", "Answer with a word or a short phrase.", "Only the answer, no sentence.")


def instruction(r: Random, ko: bool, *, short: bool) -> str:
    """A system text of the reading task."""
    text = r.choice(SYSTEM_KO if ko else SYSTEM_EN).replace("{goal}", r.choice(GOALS_KO))
    if short:
        text += r.choice((" ", "\n")) + r.choice(SHORT_KO if ko else SHORT_EN)
    return text


def lay_out(question: str, passages: list[Passage], r: Random, ko: bool, *, plain: bool = False) -> str:
    """The user turn: the question and numbered documents, as sadari serves them, or (not `plain`) sometimes otherwise."""
    varied = not plain and r.random() < 0.3
    if not varied:
        documents = "\n\n".join(f"[{i}] {p.title}\n{p.text}" for i, p in enumerate(passages, 1))
        return f"질문: {question}\n\n문서:\n{documents}" if ko else f"Question: {question}\n\nDocuments:\n{documents}"
    mark = r.choice(("[{i}] ", "문서 {i}. " if ko else "Document {i}. ", "({i}) ", "### ", "- ", "<{i}> "))
    titled = r.random() < 0.7
    separator = r.choice(("\n\n", "\n", "\n---\n"))
    documents = separator.join(
        mark.replace("{i}", str(i)) + (f"{p.title}\n" if titled else "") + p.text for i, p in enumerate(passages, 1)
    )
    heads = r.choice(
        (("질문", "문서"), ("문의", "참고 문서"), ("물음", "자료"), ("고객 질문", "정책"), ("Q", "근거"))
        if ko
        else (("Question", "Documents"), ("Q", "Context"), ("Query", "Sources"), ("Customer", "Policies"))
    )
    order = r.random()
    if order < 0.4:
        return f"{heads[1]}:\n{documents}\n\n{heads[0]}: {question}"
    if order < 0.6:
        return f"{heads[0]}: {question}\n\n{heads[1]}:\n{documents}\n\n{heads[0]}: {question}"
    if order < 0.75:
        return f"{documents}\n\n{question}"
    return f"{heads[0]}: {question}\n\n{heads[1]}:\n{documents}"


def _missing(passages: list[Passage], target: Passage, r: Random, ko: bool) -> str:
    """A question close to the documents that none of them answers."""
    taken = {f"{f.subject}/{f.attribute.key}" for p in passages for f in p.facts}
    facts = [f for p in passages for f in p.facts]
    base = r.choice(target.facts)
    if r.random() < 0.5:  # the thing is there, the attribute is not
        keys = {f.attribute.key for f in facts if f.subject == base.subject}
        options = [a for a in (ATTRIBUTES_KO if ko else ATTRIBUTES_EN) if a.key not in keys and not _close(a.key, keys)]
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


def read_facts(r: Random, *, passages: int, size: int, plain: bool = False, ko: bool | None = None, form: str | None = None) -> Row:
    """A question about invented documents; `form` is "sentence", "two", "short" or "abstain" (drawn if None)."""
    ko = r.random() < 0.65 if ko is None else ko
    documents, k = scene(r, ko, passages, size)
    target = documents[k]
    form = form or r.choices(("sentence", "two", "short", "abstain"), (0.6, 0.1, 0.17, 0.13))[0]
    system = "" if not plain and r.random() < 0.1 and form != "short" else instruction(r, ko, short=form == "short")
    if form == "abstain":
        question, answer = _missing(documents, target, r, ko), ABSTAIN_KO if ko else ABSTAIN_EN
    else:
        fact = r.choice(target.facts)
        answer, question = fact.sentence, ""
        if form == "short":
            answer = fact.value
        elif form == "two":
            same = [f for f in target.facts if f.subject == fact.subject and f is not fact]
            if same:
                other = r.choice(same)
                first, second = sorted((fact, other), key=lambda f: target.sentences.index(f.sentence))
                question = ask(first, r, ko, second) if r.random() < 0.7 else ask(second, r, ko, first)
                answer = f"{first.sentence} {second.sentence}"
        question = question or (ask if plain else _ask)(fact, r, ko)
    messages: tuple[Message, ...] = (
        {"role": "user", "content": lay_out(question, documents, r, ko, plain=plain)},
        {"role": "assistant", "content": answer},
    )
    if system:
        messages = ({"role": "system", "content": system}, *messages)
    return Row("read", messages, facts={"form": form, "passages": tuple(p.text for p in documents), "ko": ko, "place": k})


def read_many(r: Random, *, passages: int, size: int) -> Row:
    """Documents once, then several questions in turn: many answers for few tokens."""
    ko = r.random() < 0.65
    documents, _ = scene(r, ko, passages, size)
    facts = [f for p in documents for f in p.facts]
    chosen = r.sample(facts, min(len(facts), r.randint(2, 6)))
    short = r.random() < 0.15
    turns: list[tuple[str, str]] = [(_ask(f, r, ko), f.value if short else f.sentence) for f in chosen]
    if r.random() < 0.4:
        turns.insert(r.randint(0, len(turns)), (_missing(documents, r.choice(documents), r, ko), ABSTAIN_KO if ko else ABSTAIN_EN))
    messages: list[Message] = [{"role": "system", "content": instruction(r, ko, short=short)}]
    for i, (question, answer) in enumerate(turns):
        messages.append({"role": "user", "content": lay_out(question, documents, r, ko) if i == 0 else question})
        messages.append({"role": "assistant", "content": answer})
    return Row("read_many", tuple(messages), facts={"passages": tuple(p.text for p in documents)})


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
    """A sentence of real prose, asked for by some of its words; the answer is the whole sentence, or that it is not there."""
    windows: list[list[str]] = []
    record = r.choice(texts)
    sentences = split_sentences(record)
    for i in range(passages):
        if i and r.random() < 0.6:
            sentences = split_sentences(r.choice(texts))
        usable = [s for s in sentences if 12 <= len(s) <= 260]
        if len(usable) < 2:
            if i == 0:
                return None
            continue
        a = r.randrange(0, max(1, len(usable) - size + 1))
        windows.append(usable[a : a + max(2, size + r.choice((-1, 0, 0, 1)))])
    options = [s for s in windows[0] if len(s) <= 170]
    if not options:
        return None
    answer = r.choice(options)
    words = keywords(answer, r, ko)
    rest = " ".join(s for w in windows for s in w if s != answer)
    if len(words) < 2 or answer in rest or all(w in rest for w in words):
        return None
    if ko:
        stem = " ".join(words)
        ending = r.choice(_ENDINGS_KO)
        question = (
            n.join_particles(stem + ("~" + ending if ending.startswith(("은 ", "이 ")) else ending))
            if ending.startswith(("은 ", "이 "))
            else stem + ending
        )
    else:
        question = r.choice(_HEADS_EN).format(" ".join(words))
        question = question.lower() if r.random() < 0.3 else question
    form = "abstain" if r.random() < 0.12 else "sentence"
    if form == "abstain":
        windows[0] = [s for s in windows[0] if s != answer] or windows[0][:0]
        answer = ABSTAIN_KO if ko else ABSTAIN_EN
        windows = [w for w in windows if w]
        if not windows:
            return None
    r.shuffle(windows)
    documents = []
    for w in windows:
        title = (
            " ".join(r.choice(w).split()[: r.randint(1, 4)])
            if r.random() < 0.5
            else (n.word_ko(r) if ko else n.word_en(r)) + " " + r.choice(w).split()[0]
        )
        documents.append(Passage(title.strip("#-* "), r.choice((" ", " ", "\n")).join(w), tuple(w)))
    messages: tuple[Message, ...] = (
        {"role": "user", "content": lay_out(question, documents, r, ko)},
        {"role": "assistant", "content": answer},
    )
    if r.random() < 0.9:
        messages = ({"role": "system", "content": instruction(r, ko, short=False)}, *messages)
    return Row("read_corpus", messages, facts={"form": form, "passages": tuple(p.text for p in documents), "ko": ko})
