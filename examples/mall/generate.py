"""Write the documents and conversations of the mall example from its facts, the same bytes every time.

    python examples/mall/generate.py            writes docs/, data/train.jsonl and data/test.jsonl
    python examples/mall/generate.py --check    fails if the files differ from what the facts say; prints the shares

`facts/*.txt` holds the shop's pages. A line is one of

    @ returns.md | 반품 안내 | en [test]     a page: file, title, "en" if English; [test]: its facts are asked in test only
    ## 반품 신청 기한 [test]                 a section, likewise
    일반 상품은 받은 날부터 {7일} 안에 ...    a sentence; {required|other spelling|...} marks what a right answer must hold
    > return_period: 일반 상품 / 의류 ...    how the sentence before is asked: an intent and noun phrases for its templates
    > quantity ? 몇 장 필요한가요? / ...      or whole questions

`questions.yaml` holds the templates of the intents, `unanswerable.txt` the questions that no page answers.
A section is asked either in train or in test, never in both, and is the group of its rows.
"""

import argparse
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SEED = 20
ABSTENTION = "문서에서 확인할 수 없습니다."
ROWS_PER_FACT = {"train": 3, "test": 1}  # one more for each English fact, and in test for a third of the others
SHARE_OF_PAIRS = 0.15  # of the rows of a split: two sentences of one section answer together
SHARE_WITH_WHOLE = {"train": 1.0, "test": 0.45}  # of the facts that have whole questions: these come first, templates after
SHARE_WITH_OPENING = 0.18  # a greeting or a word of context before the question
SHARE_WITH_TYPO = 0.06
NEAR_DUPLICATE = 0.8  # Jaccard of character 5-grams


# --- Korean particles --------------------------------------------------------------------------------------------------

PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와", "으로": "로", "이에요": "예요"}  # after a consonant: after a vowel


class Noun(str):
    """A noun phrase that takes particles in a format string: f"{Noun('배송비'):은}" is "배송비는"."""

    def __format__(self, particle: str) -> str:
        if particle not in PARTICLES:
            return str(self) + particle
        code = ord(self[-1]) - 0xAC00
        if not 0 <= code < 11172:  # a digit or a letter: read by its Korean name
            closed, rieul = self[-1] in "013678lmnrLMNR", self[-1] in "178lrLR"
        else:
            closed, rieul = code % 28 != 0, code % 28 == 8
        if particle == "으로":
            closed = closed and not rieul
        return str(self) + (particle if closed else PARTICLES[particle])


# --- facts and documents -----------------------------------------------------------------------------------------------


@dataclass
class Fact:
    """One sentence of a page and how customers ask for it; `intent` is "" if nobody does."""

    sentence: str
    required: list[list[str]]
    section: str = ""
    page: str = ""
    language: str = "ko"
    split: str = "train"
    intent: str = ""
    phrases: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    start: int = 0

    @property
    def span(self) -> dict[str, Any]:
        return {"document": self.page, "start": self.start, "end": self.start + len(self.sentence), "quote": self.sentence}


def read_facts(folder: Path) -> tuple[dict[str, str], list[Fact]]:
    """The text of each page, and the facts in page order, with their place in that text."""
    texts: dict[str, str] = {}
    facts: list[Fact] = []
    page = language = section = ""
    split = page_split = "train"
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text("utf-8").splitlines():
            marked = "test" if line.endswith(" [test]") else ""
            line = line.removesuffix(" [test]")
            if line.startswith("@ "):
                page, title, *rest = [part.strip() for part in line[2:].split("|")]
                language, page_split = "en" if rest == ["en"] else "ko", marked or "train"
                texts[page] = f"# {title}\n"
            elif line.startswith("## "):
                section, split = f"{page}#{texts[page].count('## ') + 1}", marked or page_split
                texts[page] = texts[page].rstrip(" \n") + f"\n\n{line}\n\n"
            elif line.startswith("> "):
                match = re.fullmatch(r"> (\w+)(:| \?) (.+)", line)
                if not match:
                    raise ValueError(
                        f'{path.name}: cannot read "{line}". Write "> intent: phrase / phrase" or "> intent ? question".'
                    )
                facts[-1].intent = match[1]
                (facts[-1].phrases if match[2] == ":" else facts[-1].questions).extend(match[3].split(" / "))
            elif line:
                required = [_spellings(braced.split("|")) for braced in re.findall(r"\{(.*?)\}", line)]
                sentence = re.sub(r"\{([^}|]*)[^}]*\}", r"\1", line)
                facts.append(Fact(sentence, required, section, page, language, split, start=len(texts[page])))
                texts[page] += sentence + " "
    return {name: text.rstrip() + "\n" for name, text in texts.items()}, facts


def _spellings(given: Sequence[str]) -> list[str]:
    """The spellings of a fact, with the usual other ways to write an amount, a number with its unit or a percentage."""
    found = list(given)
    for text in given:
        if match := re.fullmatch(r"([\d,]+)원", text):
            amount = int(match[1].replace(",", ""))
            found += [f"{amount:,}원", f"{amount}원", f"{amount:,} 원"]
            if amount % 10_000 == 0:
                found += [f"{amount // 10_000}만 원", f"{amount // 10_000}만원"]
            elif amount % 1_000 == 0 and amount < 10_000:
                found += [f"{amount // 1_000}천 원", f"{amount // 1_000}천원"]
        elif match := re.fullmatch(r"(\d+)(만|천만|백만|억) 원", text):
            amount = int(match[1]) * {"만": 10**4, "백만": 10**6, "천만": 10**7, "억": 10**8}[match[2]]
            found += [f"{match[1]}{match[2]}원", f"{amount:,}원", f"{amount}원"]
        elif match := re.fullmatch(r"([\d.]+)%", text):
            found += [f"{match[1]} %", f"{match[1]}퍼센트", f"{match[1]} 퍼센트"]
        elif match := re.fullmatch(r"(\d+)([가-힣]{1,2})", text):
            found.append(f"{match[1]} {match[2]}")
    return list(dict.fromkeys(found))


# --- questions ---------------------------------------------------------------------------------------------------------


@dataclass
class Asker:
    """Turns facts into questions; `used` remembers which templates stand in which split."""

    forms: dict[str, Any]
    rng: random.Random
    used: dict[str, Counter[str]] = field(default_factory=lambda: {"train": Counter(), "test": Counter()})

    def ask(self, fact: Fact, count: int) -> list[str]:
        """Up to `count` different questions for one fact, each from another template."""
        own = self.forms["intents_en" if fact.language == "en" else "intents"][fact.intent] if fact.phrases else {}
        templates = self._templates(fact.split, own, generic=fact.language == "ko" and "noun" in own)
        natural = self.rng.random() < SHARE_WITH_WHOLE[fact.split] or count > 1 or not fact.phrases
        asked = list(fact.questions[:count]) if natural else []
        for i, template in enumerate(templates[: count - len(asked)]):
            phrase = fact.phrases[i % len(fact.phrases)]
            asked.append(self._fill(template, fact, phrase, own.get("noun", "")))
            self.used[fact.split][template] += 1
        return asked

    def ask_pair(self, first: Fact, second: Fact) -> str:
        """One question for two facts of a section."""
        both = [Noun(self._name(fact, fact.phrases[-1])) for fact in (first, second)]
        if first.language == "en":
            raise ValueError("pairs are asked in Korean")
        split = first.split
        choice = self.forms["pair"]["test" if split == "test" else "train"]
        template = self.rng.choice(choice)
        self.used[split][template] += 1
        return template.format(a=both[0], b=both[1])

    def dress(self, question: str, split: str, language: str) -> tuple[str, list[str]]:
        """The question as it is typed: some with an opening, some with a misspelling; and tags that say so."""
        tags = []
        if self.rng.random() < SHARE_WITH_TYPO:
            wrong = [(good, bad) for good, bad in self.forms["typos"] if good in question]
            if wrong:
                good, bad = self.rng.choice(wrong)
                question, tags = question.replace(good, bad, 1), ["typo"]
        if self.rng.random() < SHARE_WITH_OPENING:
            openings = self.forms["opening_en" if language == "en" else "opening"][split]
            question, tags = f"{self.rng.choice(openings)} {question}", [*tags, "opening"]
        return question, tags

    def _templates(self, split: str, own: dict[str, Any], *, generic: bool) -> list[str]:
        """The templates in the order of use: test prefers those that train never sees."""
        shared, only_test = list(own.get("train", ())), list(own.get("test", ()))
        if generic:
            shared += self.rng.sample(self.forms["any"]["train"], 1)
            only_test += self.rng.sample(self.forms["any"]["test"], 1)
        self.rng.shuffle(shared)
        self.rng.shuffle(only_test)
        return shared if split == "train" else only_test + shared

    def _fill(self, template: str, fact: Fact, phrase: str, noun: str) -> str:
        unit = re.sub(r"^.*?(?=[가-힣]*$)", "", fact.required[0][0]) if fact.required else ""
        text = template.format(np=Noun(phrase), n=Noun(_join(phrase, noun)), unit=Noun(unit or "개"))
        return text[0].upper() + text[1:]

    def _name(self, fact: Fact, phrase: str) -> str:
        return _join(phrase, self.forms["intents"][fact.intent].get("noun", ""))


def _join(phrase: str, noun: str) -> str:
    """The noun phrase with the noun of its intent behind it, unless it already ends in such a noun."""
    if not noun or phrase.endswith(noun) or (phrase.endswith(("때", "날")) and noun in ("시기", "날짜")):
        return phrase
    return phrase + noun if noun.startswith("에") else f"{phrase} {noun}"


# --- rows --------------------------------------------------------------------------------------------------------------


def make_rows(split: str, facts: Sequence[Fact], unanswerable: dict[str, list[list[str]]], asker: Asker) -> list[dict[str, Any]]:
    """All rows of one split, in the order of the file."""
    rows: list[dict[str, Any]] = []
    asked = [fact for fact in facts if fact.split == split and fact.intent]
    for fact in asked:
        more = fact.language == "en" or (split == "test" and asker.rng.random() < 0.35)
        for question in asker.ask(fact, ROWS_PER_FACT[split] + more):
            rows.append(_row(question, [fact], asker))
    pairs = [(a, b) for a, b in pairwise(asked) if a.section == b.section and a.language == "ko" and _can_join(a) and _can_join(b)]
    refusals = sum(map(len, unanswerable[split]))
    wanted = round((len(rows) + refusals) * SHARE_OF_PAIRS / (1 - SHARE_OF_PAIRS))
    for a, b in asker.rng.sample(pairs, min(wanted, len(pairs))):
        rows.append(_row(asker.ask_pair(a, b), [a, b], asker))
    for topic, questions in enumerate(unanswerable[split]):
        rows += [_refusal(question, f"unanswerable-{split}-{topic:03d}", split, asker) for question in questions]
    asker.rng.shuffle(rows)
    return [{"id": f"{split}-{i:04d}"} | row for i, row in enumerate(rows, 1)]


def _can_join(fact: Fact) -> bool:
    return bool(fact.phrases) and fact.intent != "what_happens"


def _row(question: str, facts: Sequence[Fact], asker: Asker) -> dict[str, Any]:
    split, language = facts[0].split, facts[0].language
    text, how = asker.dress(question, split, language)
    return {
        "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": " ".join(fact.sentence for fact in facts)},
        ],
        "facts": [spellings for fact in facts for spellings in fact.required],
        "spans": [fact.span for fact in facts],
        "abstain": False,
        "group": facts[0].section,
        "tags": [facts[0].intent, language, facts[0].page.removesuffix(".md"), *(["pair"] if len(facts) > 1 else []), *how],
    }


def _refusal(question: str, group: str, split: str, asker: Asker) -> dict[str, Any]:
    language = "ko" if re.search("[가-힣]", question) else "en"
    text, how = asker.dress(question, split, language)
    return {
        "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": ABSTENTION}],
        "facts": [],
        "spans": [],
        "abstain": True,
        "group": group,
        "tags": ["unanswerable", language, "none", *how],
    }


def read_unanswerable(path: Path) -> dict[str, list[list[str]]]:
    """Questions that no page answers, by split: `[train]` and `[test]` head them; a line holds the wordings of one question."""
    found: dict[str, list[list[str]]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line in ("[train]", "[test]"):
            found[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            found[list(found)[-1]].append(line.split(" / "))
    return found


# --- the whole ---------------------------------------------------------------------------------------------------------


def build() -> tuple[dict[str, str], dict[str, float]]:
    """Every generated file by its path below this folder, and the figures that README.md states."""
    texts, facts = read_facts(HERE / "facts")
    forms = yaml.safe_load((HERE / "questions.yaml").read_text("utf-8"))
    asker = Asker(forms, random.Random(SEED))
    unanswerable = read_unanswerable(HERE / "unanswerable.txt")
    train = make_rows("train", facts, unanswerable, asker)
    seen = [_ngrams(_question(row)) for row in train]
    test = [row for row in make_rows("test", facts, unanswerable, asker) if not _is_near(_ngrams(_question(row)), seen)]
    test = [row | {"id": f"test-{i:04d}"} for i, row in enumerate(test, 1)]
    files = {f"docs/{name}": text for name, text in texts.items()}
    for split, rows in (("train", train), ("test", test)):
        files[f"data/{split}.jsonl"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return files, measure(texts, facts, train, test, asker)


def measure(
    texts: dict[str, str], facts: Sequence[Fact], train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]], asker: Asker
) -> dict[str, float]:
    """Counts, and shares in [0, 1]."""
    answered = [row for row in test if not row["abstain"]]
    taught = {_answer(row) for row in train}
    intents = {split: {row["tags"][0] for row in rows if not row["abstain"]} for split, rows in (("train", train), ("test", test))}
    pages = {split: {row["tags"][2] for row in rows if not row["abstain"]} for split, rows in (("train", train), ("test", test))}
    templates = {split: set(used) for split, used in asker.used.items()}
    all_templates = templates["train"] | templates["test"]
    both = [*train, *test]
    return {
        "pages": len(texts),
        "sections": sum(text.count("\n## ") for text in texts.values()),
        "sentences": len(facts),
        "facts asked": sum(bool(fact.intent) for fact in facts),
        "train rows": len(train),
        "test rows": len(test),
        "intents": len(intents["train"] | intents["test"]),
        "intents only in test": len(intents["test"] - intents["train"]),
        "pages asked only in test": len(pages["test"] - pages["train"]),
        "templates": len(all_templates),
        "share of templates only in test": len(templates["test"] - templates["train"]) / len(all_templates),
        "share of unanswerable train rows": _share(train, lambda row: row["abstain"]),
        "share of unanswerable test rows": _share(test, lambda row: row["abstain"]),
        "share of two-sentence answers": _share(both, lambda row: "pair" in row["tags"]),
        "share of English train rows": _share(train, lambda row: row["tags"][1] == "en"),
        "share of English test rows": _share(test, lambda row: row["tags"][1] == "en"),
        "share of test references that occur in train": _share(answered, lambda row: _answer(row) in taught),
        "the same, abstentions counted": _share(test, lambda row: _answer(row) in taught),
    }


def _share(rows: Sequence[dict[str, Any]], is_so: Any) -> float:
    return sum(bool(is_so(row)) for row in rows) / len(rows)


def _question(row: dict[str, Any]) -> str:
    return str(row["messages"][0]["content"])


def _answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def _ngrams(text: str, n: int = 5) -> set[str]:
    return {text[i : i + n] for i in range(max(1, len(text) - n + 1))}


def _is_near(grams: set[str], others: Sequence[set[str]]) -> bool:
    alike = (other for other in others if min(len(grams), len(other)) >= NEAR_DUPLICATE * max(len(grams), len(other)))
    return any(len(grams & other) >= NEAR_DUPLICATE * len(grams | other) for other in alike)


def stale_files(files: dict[str, str]) -> Iterator[str]:
    """Paths that differ from `files`, are missing, or stand in docs/ or data/ without being generated."""
    for name, text in files.items():
        path = HERE / name
        if not path.exists() or path.read_bytes() != text.encode():
            yield name
    for folder in ("docs", "data"):
        yield from (f"{folder}/{path.name}" for path in (HERE / folder).glob("*") if f"{folder}/{path.name}" not in files)


def main() -> int:
    """Write the files, or with --check compare them."""
    parser = argparse.ArgumentParser(description="Write (or --check) the documents and conversations of the mall example.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is not up to date")
    files, figures = build()
    if parser.parse_args().check:
        stale = list(stale_files(files))
        if stale:
            print(f"not up to date: {', '.join(stale)}. Run: python {Path(__file__).name}", file=sys.stderr)
            return 1
    else:
        for name, text in files.items():
            (HERE / name).parent.mkdir(exist_ok=True)
            (HERE / name).write_bytes(text.encode())
    for name, value in figures.items():
        print(f"{name:48} {value:8.3f}" if isinstance(value, float) else f"{name:48} {value:8d}")
    digest = hashlib.sha256("".join(files[name] for name in sorted(files)).encode()).hexdigest()
    print(f"{'sha256 of all files':48} {digest[:16]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
