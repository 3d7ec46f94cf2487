# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Documents about invented things, with questions whose answer is a sentence of one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from sadari.mini.skills import facts_en, facts_ko, rules_ko
from sadari.mini.skills import names as n
from sadari.mini.skills.facts_ko import Attribute


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence of a document and what it is about."""

    subject: str
    attribute: Attribute
    value: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A titled piece of text; `sentences` are the units that can be an answer, in order."""

    title: str
    text: str
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...] = ()


ATTRIBUTES_KO = facts_ko.ATTRIBUTES + rules_ko.ATTRIBUTES
ATTRIBUTES_EN = facts_en.ATTRIBUTES


def subject(r: Random, ko: bool) -> str:
    """The name of a thing that documents talk about."""
    facts = facts_ko if ko else facts_en
    thing = r.choice(facts.THINGS)
    style = r.random()
    if style < 0.35:
        return f"{r.choice(facts.QUALIFIERS)} {thing}"
    if style < 0.6:
        return f"{n.brand(r, ko)} {thing}"
    if style < 0.7:
        return f"{n.org_ko(r) if ko else n.org_en(r)} {thing}"
    return n.brand(r, ko) if style < 0.75 else thing


def sibling(name: str, r: Random, ko: bool) -> str:
    """A thing easily confused with `name`: the same noun with another qualifier, or the other way round."""
    facts = facts_ko if ko else facts_en
    for _ in range(20):
        head, _, tail = name.rpartition(" ")
        if r.random() < 0.6 or not head:
            other = f"{r.choice(facts.QUALIFIERS) if r.random() < 0.6 else n.brand(r, ko)} {tail}"
        else:
            other = f"{head} {r.choice(facts.THINGS)}"
        if other not in name and name not in other:
            return other
    return subject(r, ko)


_LABELLED = re.compile(r"(?:(?P<ko>[가-힣 ]+)[은는] \{v\}입니다\.|(?:The|Its) (?P<en>[a-z ]+) is \{v\}\.)$")


_SUBJECT = re.compile(r"^(?:The \{x\} |\{x\}(?:~은|~을|~이|의)? )")


def state(subject_name: str, attribute: Attribute, r: Random, *, elliptic: bool) -> Fact:
    """Draw a value and write the sentence that states it; `elliptic` allows a sentence that leans on its title."""
    value = rules_ko.fill(attribute.value(r), r)
    full = [s for s in attribute.sentences if "{x}" in s]
    pattern = r.choice(full)
    if elliptic and r.random() < 0.65:
        bare = [s for s in attribute.sentences if "{x}" not in s]
        shortened = _SUBJECT.sub(lambda m: "It " if m[0] == "The {x} " else "", pattern)
        pattern = r.choice(bare) if bare and (shortened == pattern or r.random() < 0.4) else shortened
    label = _LABELLED.match(pattern)
    if label and r.random() < 0.25:  # "이용료: 3,000원"
        pattern = f"{label['ko'] or label['en']}: {{v}}"
    sentence = n.join_particles(pattern.replace("{x}", subject_name).replace("{v}", value))
    sentence = sentence[0].upper() + sentence[1:]
    return Fact(subject_name, attribute, value if value in sentence else value[0].upper() + value[1:], sentence)


def write_passage(facts: list[Fact], title: str, r: Random, ko: bool) -> Passage:
    """Lay facts out as prose, as a list or with filler sentences between."""
    sentences = [f.sentence for f in facts]
    pool = facts_ko.FILLERS if ko else facts_en.FILLERS
    for filler in r.sample(pool, r.choice((0, 0, 0, 1, 1, 2))):
        sentences.insert(r.randint(0, len(sentences)), filler)
    style = r.random()
    if style < 0.75 and not any(s[-1] not in ".!?" for s in sentences):
        text = " ".join(sentences)
    elif style < 0.88:
        text = "\n".join(sentences)
    else:
        mark = r.choice(("- ", "* ", "• ", "· "))
        text = "\n".join(mark + s for s in sentences)
    if r.random() < 0.12:  # a heading inside the page
        text = r.choice(("## ", "### ", "# ", "**")) + title + "\n" + text
    return Passage(title, text, tuple(sentences), tuple(facts))


def title_of(name: str, r: Random, ko: bool) -> str:
    facts = facts_ko if ko else facts_en
    style = r.random()
    tail = r.choice(facts.TITLE_TAILS)
    if style < 0.55:
        title = f"{name} {tail}"
    elif style < 0.75:
        title = name
    elif style < 0.9:
        title = f"{r.choice(facts.THINGS)}{r.choice((' > ', ' - ', ': ', ' / '))}{name}"
    else:
        title = f"{n.org_ko(r) if ko else n.org_en(r)} {name} {tail}"
    return title[0].upper() + title[1:]


def scene(r: Random, ko: bool, passages: int, size: int) -> tuple[list[Passage], int]:
    """Passages on close topics, and the index of the one that the question will be about.

    No two passages state the same attribute of the same thing, so a question about one has one answer.
    """
    attributes = ATTRIBUTES_KO if ko else ATTRIBUTES_EN
    main = subject(r, ko)
    shared = r.sample(attributes, min(len(attributes), size + 2))
    taken: set[str] = set()
    result: list[Passage] = []
    for i in range(passages):
        count = max(1, size + r.choice((-1, 0, 0, 1)))
        if i == 0:
            name, chosen = main, r.sample(shared, min(count, len(shared)))
        elif r.random() < 0.6:  # another thing, the same attributes
            name, chosen = sibling(main, r, ko), r.sample(shared, min(count, len(shared)))
        elif r.random() < 0.5:  # the same thing, other attributes
            name, chosen = main, r.sample([a for a in attributes if a not in shared], count)
        else:
            name = subject(r, ko)
            chosen = r.sample(attributes, count)
        chosen = [a for a in chosen if f"{name}/{a.key}" not in taken] or [
            r.choice([a for a in attributes if f"{name}/{a.key}" not in taken])
        ]
        taken.update(f"{name}/{a.key}" for a in chosen)
        written = [state(name, a, r, elliptic=True) for a in chosen]
        title = title_of(name, r, ko)
        if r.random() < 0.15 and i:  # a page about two things names both
            second = sibling(name, r, ko)
            extra = [a for a in r.sample(attributes, 2) if f"{second}/{a.key}" not in taken]
            taken.update(f"{second}/{a.key}" for a in extra)
            written += [state(second, a, r, elliptic=False) for a in extra]
        result.append(write_passage(written, title, r, ko))
    order = list(range(passages))
    r.shuffle(order)
    return [result[k] for k in order], order.index(0)


_OPENINGS_KO = ["안녕하세요. ", "저기요, ", "문의드립니다. ", "수고하세요, ", "혹시 ", "제가 처음인데요, ", "급한데 ", "죄송한데 ", "궁금해서요. ", "어제 알아봤는데 ", "친구가 물어봐서요, ", "다름이 아니라 ", "안녕하세요! "]
_CLOSINGS_KO = [" 감사합니다.", " 부탁드려요.", " 알려 주시면 감사하겠습니다.", " 빠른 답변 부탁드립니다.", " 궁금합니다.", "!!", " ㅠㅠ", " ㅎㅎ", " 꼭 좀 알려 주세요."]
_OPENINGS_EN = ["Hi, ", "Hello. ", "Excuse me, ", "Quick question: ", "I am new here. ", "Sorry to bother you, ", "Hey, ", "Please tell me: "]
_CLOSINGS_EN = [" Thanks.", " Thank you!", " Please help.", " I need this today.", " Thanks in advance."]


def ask(fact: Fact, r: Random, ko: bool, also: Fact | None = None) -> str:
    """A question that `fact` answers, worded otherwise; with `also`, one that asks for both."""
    name = fact.subject
    if also is not None:
        first, second = (r.choice(a.questions) for a in (fact.attribute, also.attribute))
        text = (
            first.replace("{x}", name)
            + " "
            + r.choice(("그리고 ", "또 ", "") if ko else ("Also, ", "And ", ""))
            + second.replace("{x}", name)
        )
    else:
        text = r.choice(fact.attribute.questions).replace("{x}", name)
    text = n.join_particles(text)
    if r.random() < 0.2:
        text = r.choice(_OPENINGS_KO if ko else _OPENINGS_EN) + text
    if r.random() < 0.12:
        text += r.choice(_CLOSINGS_KO if ko else _CLOSINGS_EN)
    if r.random() < 0.12:
        text = text.rstrip("?.") if r.random() < 0.5 else n.typo(text, r)
    if not ko and r.random() < 0.15:
        text = text.lower()
    return text
