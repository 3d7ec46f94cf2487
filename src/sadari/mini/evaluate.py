"""Measure what `mini` can do on freshly generated rows: `python -m sadari.mini.evaluate [--weights FOLDER]`.

Names, numbers and schemas come from a seed that training never uses. An answer counts if it is the reference, letter for
letter (spaces at the ends aside). `read` rows are served exactly as sadari's retrieval serves them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

from sadari.mini import MINI_PATH
from sadari.mini.batches import segments
from sadari.mini.generate import continue_greedily
from sadari.mini.layout import Decoder, Shape
from sadari.mini.skills.labels import check_limit, classify, follow_pattern, look_up, nearest_label
from sadari.mini.skills.reading import read_facts
from sadari.mini.skills.rows import Row
from sadari.mini.skills.tools import calculate, call_tool, extract_json, write_sql
from sadari.mini.train import read_weights

SEED = 20_261_121  # far from every seed that training draws from
END = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row answered: whether rightly, and both texts."""

    is_right: bool
    answer: str
    reference: str
    prompt: str


def prompt_and_answer(row: Row, tokenizer: Tokenizer) -> tuple[list[int], str]:
    """Token ids up to the last assistant turn, and the text that should follow."""
    parts = segments(row)
    answer = parts[-2][0].removesuffix("<|im_end|>")
    ids: list[int] = []
    for encoding in tokenizer.encode_batch([text for text, _ in parts[:-2]], add_special_tokens=False):
        ids += encoding.ids
    return ids, answer


def answer_rows(model: Decoder, tokenizer: Tokenizer, rows: Iterator[Row], count: int) -> list[Outcome]:
    """Greedy answers to the next `count` rows."""
    outcomes = []
    for _ in range(count):
        ids, reference = prompt_and_answer(next(rows), tokenizer)
        limit = len(tokenizer.encode(reference, add_special_tokens=False).ids) + 12
        text = tokenizer.decode(continue_greedily(model, ids, end=END, limit=limit), skip_special_tokens=False)
        outcomes.append(
            Outcome(text.strip() == reference.strip(), text, reference, tokenizer.decode(ids, skip_special_tokens=False))
        )
    return outcomes


def endless(make: Callable[[Random], Row], seed: int) -> Iterator[Row]:
    r = Random(seed)
    while True:
        yield make(r)


def at_distance(form: str, distance: int, tokenizer: Tokenizer, seed: int) -> Iterator[Row]:
    """Retrieval rows whose prompt has about `distance` tokens; the passage that answers comes first, so it is far away."""
    r = Random(seed)
    passages = {256: 2, 512: 5, 1024: 10, 2048: 21}[distance]
    while True:
        row = read_facts(r, passages=passages, size=3, plain=True, form=form, marked=True)
        ids, _ = prompt_and_answer(row, tokenizer)
        if 0.8 * distance <= len(ids) <= 1.15 * distance and row.facts["place"] <= passages // 4:
            yield row


@torch.no_grad()
def copy_accuracy(model: Decoder, *, length: int = 48, rows: int = 20, seed: int = SEED) -> float:
    """Share of fresh random pieces copied rightly when they are repeated once; the first of each row does not count."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(9, model.shape.vocab_size, (rows, length), generator=generator)
    ids = torch.cat((base, base), dim=1)
    logits = model(ids[:, :-1])[:, length:] @ model.model.embed_tokens.weight.T
    return float((logits.argmax(-1) == ids[:, length + 1 :]).float().mean())


SKILLS: dict[str, Callable[[Random], Row]] = {
    "read: name the sentence, 4 found": partial(read_facts, passages=4, size=1, plain=True, form="sentence", marked=True),
    "read: name the sentence, 3 passages": partial(read_facts, passages=3, size=4, plain=True, form="sentence", marked=True),
    "read: the same, Korean": partial(read_facts, passages=3, size=4, plain=True, form="sentence", ko=True, marked=True),
    "read: the same, English": partial(read_facts, passages=3, size=4, plain=True, form="sentence", ko=False, marked=True),
    "read: name two sentences": partial(read_facts, passages=3, size=4, plain=True, form="two", marked=True),
    "read: abstain": partial(read_facts, passages=3, size=4, plain=True, form="abstain", marked=True),
    "read: copy the sentence": partial(read_facts, passages=3, size=4, plain=True, form="sentence", marked=False),
    "read: short answer": partial(read_facts, passages=3, size=4, plain=True, form="short", marked=False),
    "classify into listed labels": classify,
    "label of the nearest example": nearest_label,
    "follow a few-shot pattern": follow_pattern,
    "look a value up": look_up,
    "yes or no by a limit": check_limit,
    "fill a tool call": call_tool,
    "extract JSON": extract_json,
    "calculator, then answer": calculate,
    "write SQL": write_sql,
}


def measure_skills(
    model: Decoder, tokenizer: Tokenizer, *, rows: int, seed: int = SEED, only: str = ""
) -> dict[str, list[Outcome]]:
    """Outcomes by skill; `only` keeps the skills whose name contains it."""
    return {
        name: answer_rows(model, tokenizer, endless(make, seed + i), rows)
        for i, (name, make) in enumerate(SKILLS.items())
        if only in name
    }


def load_decoder(path: Path) -> Decoder:
    """A decoder from a `transformers` folder or from a checkpoint of the trainer (its averaged weights)."""
    model = Decoder(Shape())
    state = read_weights(path) if path.is_dir() else torch.load(path, weights_only=True)["average"]
    model.load_state_dict(state)
    model.eval()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=MINI_PATH)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--show", type=int, default=0, help="Wrong answers shown per skill.")
    parser.add_argument("--distances", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(MINI_PATH / "tokenizer.json"))
    model = load_decoder(options.weights)
    table: dict[str, float] = {"copy 48 random pieces": round(copy_accuracy(model), 3)}
    print(json.dumps(table), flush=True)
    outcomes = measure_skills(model, tokenizer, rows=options.rows, only=options.only)
    if options.distances:
        for distance in (256, 512, 1024, 2048):
            for form in ("sentence", "abstain"):
                rows = at_distance(form, distance, tokenizer, SEED + distance)
                outcomes[f"read: {form}, {distance} tokens"] = answer_rows(model, tokenizer, rows, min(options.rows, 50))
    for name, answers in outcomes.items():
        table[name] = round(sum(o.is_right for o in answers) / len(answers), 3)
        print(f"{name:40} {table[name]:.3f}", flush=True)
        for o in [o for o in answers if not o.is_right][: options.show]:
            print("   ...", o.prompt[-260:].replace("\n", " / "), "\n   got ", o.answer, "\n   want", o.reference)
    print(json.dumps(table, ensure_ascii=False))


if __name__ == "__main__":
    main()
