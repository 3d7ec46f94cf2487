"""Whatever runs beside a row, before it or after it, the row gets the tokens that it gets alone, by plain `transformers`.

Where its two best scores lie closer than `NEAR`, another order of summing may settle it otherwise: such ties are counted, and a row
is compared up to its first one.
"""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from sadari.errors import BusyError
from sadari.model.engine import Limits, Row, Scheduler
from sadari.model.engine.flat import FlatDecoder
from sadari.model.engine.probe import decoder_for
from sadari.model.local import LocalModel

NEAR = 1e-4
NEWS = 10
"""Most tokens that a row writes here."""


class ScriptedClock:
    """Tells the number of the step."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> float:
        return float(self.now)


def prompts_of(vocabulary: int, seed: int) -> list[list[int]]:
    """Prompts of a few families: some share much, some little, some nothing, and one is another's beginning."""
    rng = random.Random(seed)

    def draw(n: int) -> list[int]:
        return [rng.randrange(5, vocabulary) for _ in range(n)]

    system, shot = draw(60), draw(24)
    alike = [system + draw(rng.randrange(1, 30)) for _ in range(5)]
    deeper = [system + shot + draw(rng.randrange(1, 20)) for _ in range(3)]
    return [*alike, *deeper, system + shot, draw(1), draw(90), draw(17), deeper[0] + draw(40)]


def written_alone(model: object, prompt: Sequence[int]) -> tuple[list[int], set[int]]:
    """The greedy tokens by plain `transformers`, and the places of near ties."""
    ids, tokens, ties = list(prompt), [], set()
    for n in range(NEWS):
        with torch.no_grad():
            best = model(torch.tensor([ids])).logits[0, -1].topk(2)  # type: ignore[operator]
        if float(best.values[0] - best.values[1]) < NEAR:
            ties.add(n)
        tokens.append(int(best.indices[0]))
        ids.append(tokens[-1])
    return tokens, ties


def interleave(model: LocalModel, prompts: Sequence[list[int]], seed: int) -> list[Row]:
    """Rows that come at random steps, under random limits, some cancelled on the way; those that were not are returned."""
    rng, clock = random.Random(seed), ScriptedClock()
    limits = Limits(rows=rng.choice([1, 2, 4, 16]), step_tokens=rng.choice([5, 33, 200]))
    cache = rng.choice([200, 400, 5_000]) * KEPT_BYTES
    scheduler = Scheduler(decoder_for(model.model, cache), 400, limits, drafts=rng.random() < 0.7, clock=clock)
    arrivals = sorted((rng.randrange(25), i) for i in (rng.randrange(len(prompts)) for _ in range(rng.randrange(2, 9))))
    rows, cancelled = [], []
    while arrivals or not scheduler.is_idle:
        while arrivals and arrivals[0][0] <= clock.now:
            together = [Row(prompts[i], limit=rng.randrange(1, NEWS + 1)) for _, i in arrivals[: rng.randrange(1, 4)]]
            del arrivals[: len(together)]
            scheduler.submit(together)
            rows += together
        if rows and rng.random() < 0.03:
            cancelled.append(rng.choice(rows))
            scheduler.cancel(cancelled[-1])
        scheduler.step()
        clock.now += 1
    return [row for row in rows if row not in cancelled]


KEPT_BYTES = 1024
"""About a token's keys and values in the tiny models."""


def compare(model: LocalModel, seeds: Sequence[int]) -> tuple[int, int, int]:
    """Tokens that agree; answers that part from it, which is right at a near tie alone; and their tokens from there on."""
    with torch.no_grad():
        vocabulary = model.model.get_input_embeddings().weight.shape[0]
    prompts = prompts_of(vocabulary, seed=0)
    expected = [written_alone(model.model, prompt) for prompt in prompts]
    agree = parted = left = 0
    for seed in seeds:
        with torch.no_grad():
            rows = interleave(model, prompts, seed)
        for row in rows:
            tokens, ties = expected[prompts.index(row.prompt)]
            assert row.error is None
            assert row.finish == "length"
            count = next((i for i, (one, other) in enumerate(zip(row.out, tokens, strict=False)) if one != other), len(row.out))
            assert count == len(row.out) or count in ties, f"seed {seed}"
            agree, left = agree + count, left + len(row.out) - count
            parted += count < len(row.out)
    return agree, parted, left


@pytest.mark.parametrize("name", ["llama", "gemma3", "exaone4"])
def test_no_interleaving_changes_an_answer(local_model, name):
    agree, _, left = compare(local_model(name), range(12))
    assert agree > 200
    assert left <= 0.05 * agree, "near ties would hide differences"


@pytest.mark.slow
def test_none_of_a_thousand_interleavings_changes_an_answer(local_model):
    agree, parted, left = compare(local_model("qwen3"), range(1000))
    print(f"{agree} tokens agree; {parted} answers part at a near tie, with {left} tokens from there on")
    assert parted <= 0.001 * agree
    assert left <= 0.001 * agree


def scheduler_of(model: LocalModel, **limits: int) -> Scheduler:
    with torch.no_grad():
        return Scheduler(decoder_for(model.model, 2**24), 400, Limits(**limits), clock=ScriptedClock())


def run(scheduler: Scheduler) -> None:
    with torch.no_grad():
        while not scheduler.is_idle:
            scheduler.step()


def test_a_place_that_is_free_is_taken_by_the_next_step(local_model):
    scheduler = scheduler_of(local_model("llama"), rows=2)
    rows = [Row([7, 8, 9 + i], limit=n) for i, n in enumerate((1, 6, 3, 1))]
    scheduler.submit(rows)
    together = []
    with torch.no_grad():
        while not scheduler.is_idle:
            scheduler.step()
            together.append(len(scheduler.running))

    assert scheduler.counts.steps <= 7, "rows of 1, 6, 3 and 1 tokens fill two places for six steps"
    assert max(together) <= 2


def test_a_long_prompt_does_not_hold_up_a_row_that_writes(local_model):
    scheduler = scheduler_of(local_model("llama"), step_tokens=20)
    writer, long = Row([5, 6, 7], limit=30), Row(list(range(10, 210)), limit=1)
    with torch.no_grad():
        scheduler.submit([writer])
        scheduler.step()
        scheduler.submit([long])
        written = [writer.written]
        while not long.is_done:
            scheduler.step()
            written.append(writer.written)

    assert len(written) > 200 / 20
    assert all(after > before for before, after in pairwise(written)), "a token in every step"


def test_a_full_queue_refuses_all_of_a_call_and_keeps_what_waits(local_model):
    scheduler = scheduler_of(local_model("llama"), rows=1, waiting=10)
    scheduler.submit([Row([5, 6, i], limit=1) for i in range(8)])
    with pytest.raises(BusyError, match="8 requests wait already, and 10000 more would exceed the limit of 10"):
        scheduler.submit([Row([9, i], limit=1) for i in range(10_000)])
    run(scheduler)
    assert scheduler.counts.steps >= 8


def test_a_cancelled_row_frees_its_place_and_its_memory(local_model):
    scheduler = scheduler_of(local_model("llama"), rows=1)
    assert isinstance(scheduler.decoder, FlatDecoder)
    first, second = Row(list(range(5, 100)), limit=50), Row([8, 9], limit=1)
    scheduler.submit([first])
    with torch.no_grad():
        scheduler.step()
    scheduler.submit([second])
    scheduler.cancel(first)

    assert scheduler.decoder.memory.reserved == 0
    run(scheduler)
    assert (first.error, second.finish) == ("cancelled", "length")


def test_a_failed_step_ends_its_rows_and_frees_their_memory(local_model, monkeypatch):
    scheduler = scheduler_of(local_model("llama"))
    rows = [Row([5, 6, 7], limit=4), Row([8, 9], limit=4)]
    scheduler.submit(rows)

    def fail(turns):
        raise MemoryError("no memory left")

    monkeypatch.setattr(scheduler.decoder, "run", fail)
    with pytest.raises(MemoryError), torch.no_grad():
        scheduler.step()

    assert [row.error for row in rows] == ["MemoryError: no memory left"] * 2
    assert scheduler.is_idle
    assert scheduler.decoder.memory.reserved == 0


def test_guesses_that_are_right_save_steps_and_change_nothing(local_model):
    model = local_model("llama")
    prompt = [11, 12, 13, 14, 15, 16, 17] * 6
    found = []
    for drafts in (False, True):
        with torch.no_grad():
            scheduler = Scheduler(decoder_for(model.model, 2**24), 400, drafts=drafts)
        row = Row(prompt, limit=60)
        scheduler.submit([row])
        run(scheduler)
        found.append((row.out, scheduler.counts.steps))
    (plain, steps), (guessed, fewer) = found

    assert guessed == plain
    assert fewer <= steps


def test_what_is_kept_never_exceeds_the_memory_it_may_have(local_model):
    model, most = local_model("llama"), 400
    with torch.no_grad():
        whole = decoder_for(model.model, 2**24)
        decoder = decoder_for(model.model, most * whole.memory.kind.bytes_per_token)
    scheduler = Scheduler(decoder, 400, Limits(rows=4))
    rng = random.Random(0)
    scheduler.submit([Row([rng.randrange(5, 200) for _ in range(60)], limit=4) for _ in range(40)])
    with torch.no_grad():
        while not scheduler.is_idle:
            scheduler.step()
            assert decoder.memory.reserved + decoder.memory.tree.tokens <= most


def test_two_instructions_that_begin_alike_are_both_computed_once(local_model):
    scheduler = scheduler_of(local_model("llama"))
    header, rng = [5, 6, 7], random.Random(0)
    for _ in range(2):  # the second finds the first in the tree, and shares three tokens with it
        told = header + [rng.randrange(8, 200) for _ in range(100)]
        before = scheduler.counts.computed
        scheduler.submit([Row([*told, 8 + i, 9, 10], limit=1) for i in range(20)])
        run(scheduler)
        assert scheduler.counts.computed - before <= len(told) + 20 * 3 + 3


def test_what_is_kept_is_what_is_counted(local_model):
    scheduler = scheduler_of(local_model("llama"))
    told = [5 + i % 90 for i in range(120)]
    for i in range(6):
        scheduler.submit([Row([*told, *range(10 + i, 40 + i)], limit=1)])
        run(scheduler)
    tree = scheduler.decoder.memory.tree
    assert sum(node.keys.untyped_storage().nbytes() for node in tree._nodes()) <= tree.tokens * tree.root.keys.element_size() * (
        scheduler.decoder.memory.kind.bytes_per_token // (2 * tree.root.keys.element_size())
    )


def test_a_row_that_can_never_fit_is_told_and_the_others_go_on(local_model):
    model = local_model("llama")
    with torch.no_grad():
        most = 300 * decoder_for(model.model, 2**24).memory.kind.bytes_per_token
        scheduler = Scheduler(decoder_for(model.model, most), 400)
    large, small = Row([5, 6, 7], limit=400), Row([5, 6, 8], limit=2)
    scheduler.submit([large, small])
    run(scheduler)
    assert "403 tokens, but there is memory for 300" in large.error
    assert small.finish == "length"
