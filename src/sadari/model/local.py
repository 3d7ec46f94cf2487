"""Any causal language model of `transformers`, in this process: loading with clear errors, and exact batched decoding."""

import inspect
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sadari.errors import ModelError, SadariError
from sadari.model.adapters import put_in_adapter
from sadari.model.chat import find_end_of_turn, render_prompt
from sadari.model.grammar.options import OptionTrie, State, Tokenise, tokeniser_in_place
from sadari.model.decode import Batch, is_maskable
from sadari.model.prefix import VirtualPrefix
from sadari.model.toolcalls import MARKERS, parse_tool_calls
from sadari.types import Generation, Message, OneOf, Request, ToolSpec, Usage

SHARED_PREFIX = 64
"""A common beginning of this many tokens is computed once for the batch."""

LOGITS_BYTES = 256 * 2**20
"""Most memory for the scores of several columns at once."""

Precision = Literal["float32", "bfloat16", "nf4"]
"""Of weights and arithmetic; nf4 keeps the matrices of the blocks in four bits and computes in bfloat16 on an accelerator, else in
float32."""


class LocalModel:
    """A model that runs here, on the accelerator if there is one.

    In float32 a batch gives token for token what single requests give, up to ties within rounding error.

    Args:
        path_or_name: "mini", a folder, or a Hugging Face name (with HF_HUB_OFFLINE=1 only from the local cache).
        adapter: Folder of an adapter: of PEFT, or of bottleneck adapters (`adapters.py` says how each is put in).
        precision: Of the weights and the arithmetic; "nf4" needs the extra `qlora`.
        threads: Torch threads of this process; None leaves them.
        batch_tokens: Most tokens, prompts and answers together, that are held in memory at once.
        batch_rows: Most requests decoded together.

    Raises:
        ModelError: If the model, its tokenizer or the adapter cannot be had, do not fit together, or are damaged.
    """

    def __init__(
        self,
        path_or_name: str | Path,
        adapter: str | Path | None = None,
        precision: Precision = "float32",
        threads: int | None = None,
        *,
        batch_tokens: int = 16384,
        batch_rows: int = 64,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._name = str(path_or_name)
        source = _resolve(self._name)
        self.tokenizer = _load_tokenizer(source)
        self.model = _load_weights(source, precision)
        if torch.cuda.is_available() and precision != "nf4":  # that one was loaded there
            self.model.to("cuda")
        self.prefix: VirtualPrefix | None = None
        """Learnt vectors that stand before every row; whoever trains them sets it, and answers follow the training."""
        own = {name for name, _ in self.model.named_parameters()}
        if adapter is not None:
            self.model, self.prefix = put_in_adapter(self.model, source, Path(adapter))
        self.is_merged = self.prefix is None and own == {name for name, _ in self.model.named_parameters()}
        """Whether the weights of `model` alone answer as this model does: no adapter stands beside them or before the rows."""
        self.model.eval()
        self.batch_tokens, self.batch_rows = batch_tokens, batch_rows
        self._hidden = set(self.tokenizer.all_special_ids) - {self.tokenizer.convert_tokens_to_ids(m) for m in MARKERS}
        self._end_ids: frozenset[int] | None = None
        self._tries: dict[OneOf, OptionTrie] = {}
        self._tokenise: Tokenise | None = None

    @property
    def name(self) -> str:
        """How the model was asked for."""
        return self._name

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None if the model does not say."""
        positions = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        return None if positions is None else positions - (self.prefix.length if self.prefix else 0)

    def before(self, rows: int, room: int) -> dict[str, Any]:
        """What a forward pass over `rows` rows of up to `room` tokens has to be given besides them: the learnt vectors, if any."""
        learnt = self._begin()
        return {"past_key_values": learnt.batch.cache_for(rows, room)} if learnt else {}

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Length in tokens of the rendered prompt, generation prompt included."""
        return len(render_prompt(self.tokenizer, messages, tools))

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation per request, in order.

        Requests are sorted by length into batches, the same way every time. A prompt longer than the context, or one that the
        template refuses, gives `finish="error"`; the others go on. An option of a constraint is never cut: `max_new_tokens` only
        keeps further options from being joined.
        """
        done: dict[int, Generation] = {}
        rows: list[_Row] = []
        for index, request in enumerate(requests):
            try:
                rows.append(self._prepare(index, request))
            except SadariError as e:
                done[index] = Generation("", finish="error", error=str(e))
        rows.sort(key=lambda r: (len(r.prompt), r.index))
        with _as_served(self.model):
            prefix = self._prefill_shared(rows, self._begin())
            for batch in self._split(rows):
                self._decode(batch, prefix)
        done.update({row.index: self._finish(row) for row in rows})
        return [done[i] for i in range(len(requests))]

    def rank_options(self, request: Request) -> list[tuple[str, float]]:
        """Every option of the request's constraint with its log-probability as the whole answer, best first.

        In nats, end of turn included. Exact where greedy decoding is not: the most probable option need not begin with the most
        probable token.

        Raises:
            ConfigError: If the constraint holds no options.
            ModelError: If the request has no constraint, or does not fit the context.
        """
        row = self._prepare(0, request)
        if row.trie is None:
            raise ModelError("rank_options needs a request whose constraint names the options.")
        options = row.trie.options
        answers = [[*ids, self._end_of_answer()] for ids in self._in_place()("", options)]
        with _as_served(self.model):
            scores = self._score(row.prompt, answers)
        return sorted(zip(options, scores, strict=True), key=lambda pair: (-pair[1], options.index(pair[0])))

    def decisions(self, constraint: OneOf, text: str) -> list[tuple[int, tuple[int, ...]]] | None:
        """Each token of `text`, and the end after it, with the tokens it is chosen among; None if `constraint` forbids it."""
        return self._trie(constraint).decisions(text, self._end_of_answer())

    def _score(self, prompt: list[int], answers: list[list[int]]) -> list[float]:
        """Log-probability of each answer's tokens after the prompt."""
        learnt = self._begin()
        shared = learnt.batch.copy_for(1, len(prompt)) if learnt else Batch(self.model)
        first = torch.log_softmax(shared.feed([prompt])[0, -1], dim=-1)
        scores = [float(first[ids[0]]) for ids in answers]
        width = max(map(len, answers)) - 1
        by_scores = LOGITS_BYTES // (4 * width * len(first))
        at_once = max(1, min(self._rows_that_fit(len(prompt) + width), by_scores))
        for start in range(0, len(answers), at_once):
            some = answers[start : start + at_once]
            if is_maskable(self.model):
                batch, fed = shared.copy_for(len(some), width), [ids[:-1] for ids in some]
            else:
                batch, fed = Batch(self.model), [prompt + some[0][:-1]]
            logits = torch.log_softmax(batch.feed(fed, last=max(len(ids) - 1 for ids in some)), dim=-1)
            for i, ids in enumerate(some):
                for back, token in enumerate(reversed(ids[1:]), 1):
                    scores[start + i] += float(logits[i, -back, token])
        return scores

    # --- one batch ---------------------------------------------------------------------------------------------------

    def _prepare(self, index: int, request: Request) -> "_Row":
        prompt = render_prompt(self.tokenizer, request.messages, request.tools)
        trie = self._trie(request.constraint) if request.constraint is not None else None
        room = math.inf if self.context is None else self.context - len(prompt)
        needed = trie.longest_option + 1 if trie else 1
        if room < needed:
            asked = f"the longest option another {needed - 1}" if trie else "no room is left for an answer"
            raise ModelError(
                f"the prompt has {len(prompt)} tokens and {asked}, but the context of {self._name} is {self.context} tokens. "
                "Shorten the prompt: fewer or shorter passages, examples or turns."
            )
        limit = int(min(request.max_new_tokens, room))
        if trie is not None:  # a further option may be begun only where its longest one still fits
            limit = int(min(limit, room - trie.longest_option - 1))
        row = _Row(index, request, prompt, limit, trie)
        if request.temperature > 0:
            row.generator = torch.Generator().manual_seed(request.seed)
        if trie is not None:
            row.state = trie.start()
        return row

    def _split(self, rows: Sequence["_Row"]) -> list[list["_Row"]]:
        """Batches of rows in order, each within the budgets."""
        batches: list[list[_Row]] = []
        longest = 0
        for row in rows:
            longest = max(longest, row.tokens_at_most)
            if not batches or len(batches[-1]) >= self._rows_that_fit(longest):
                batches.append([])
                longest = row.tokens_at_most
            batches[-1].append(row)
        return batches

    def _rows_that_fit(self, tokens: int) -> int:
        if not is_maskable(self.model):
            return 1
        held = self.prefix.length if self.prefix else 0
        return max(1, min(self.batch_rows, self.batch_tokens // (tokens + held)))

    def _begin(self) -> "_Prefix | None":
        """The learnt vectors before every row, computed as they are now."""
        if self.prefix is None:
            return None
        batch = Batch(self.model, 1, self.prefix.length)
        batch.begin_with(self.prefix)
        return _Prefix(batch, 0)

    def _prefill_shared(self, rows: Sequence["_Row"], held: "_Prefix | None") -> "_Prefix | None":
        """The common beginning of the prompts, computed with one row, if it is long enough beyond what is held."""
        if len(rows) < 2 or not is_maskable(self.model):
            return held
        prompts = [r.prompt for r in rows]
        low, high = min(prompts), max(prompts)
        shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(map(len, prompts)))
        shared = min(shared, min(map(len, prompts)) - 1)  # every row still has a token to be fed
        start = held.length if held else 0
        if shared - start < SHARED_PREFIX:
            return held
        batch = held.batch.copy_for(1, shared - start) if held else Batch(self.model, 1, shared)
        batch.feed([prompts[0][start:shared]])
        return _Prefix(batch, shared)

    def _decode(self, rows: list["_Row"], prefix: "_Prefix | None") -> None:
        began = time.perf_counter()
        room = max(8, min(256, max(r.tokens_at_most - len(r.prompt) for r in rows)))
        prefix = self._prefill_shared(rows, prefix)
        batch = prefix.batch.copy_for(len(rows), room) if prefix else Batch(self.model, len(rows), room)
        for row in rows:
            row.pending = row.prompt[prefix.length if prefix else 0 :]
            self._force(row)
        active = list(rows)
        while not all(r.is_done for r in active):
            if sum(r.is_done for r in active) * 4 >= len(active):  # a compaction copies the cache: not for every row that ends
                batch.keep([i for i, r in enumerate(active) if not r.is_done])
                active = [r for r in active if not r.is_done]
            logits = batch.feed([[] if r.is_done else r.pending for r in active])[:, -1]
            best = logits.argmax(dim=-1).tolist()
            for i, row in enumerate(active):
                if not row.is_done:
                    row.pending = []
                    self._choose(row, logits[i], best[i])
                    if row.is_done:
                        row.latency_s = time.perf_counter() - began

    def _choose(self, row: "_Row", logits: Tensor, best: int) -> None:
        """The next token of one row, and with it all that must follow."""
        if not math.isfinite(float(logits[best])):
            row.error = f"{self._name}: the scores are not finite. Its weights are damaged, or its training diverged."
            return
        ends = self._ends()
        if row.trie is not None:
            tokens, can_end = row.trie.allowed(row.state, may_join=row.may_join)
            if not row.out and row.request.temperature <= 0:
                tokens = _settle_alone(row.trie, tokens, logits)
            ids = list(tokens) + (sorted(ends) if can_end else [])
            token = ids[_pick(logits[torch.tensor(ids, device=logits.device)], row)]
            if can_end and token in ends and token not in tokens:
                row.finish = "stop"
                return
        else:
            token = best if row.request.temperature <= 0 else _pick(logits, row)
            if token in ends:
                row.finish = "stop"
                return
        self._append(row, token)
        self._force(row)

    def _append(self, row: "_Row", token: int) -> None:
        if row.trie is not None:
            row.state = row.trie.step(row.state, token, may_join=row.may_join)
        row.out.append(token)
        row.pending.append(token)
        if row.trie is not None:
            return
        if row.request.stop and (cut := self._stop_at(row)) is not None:
            row.text, row.finish = cut, "stop"
        elif len(row.out) >= row.limit:
            row.finish = "length"

    def _force(self, row: "_Row") -> None:
        """Take tokens that have no alternative: they need no scores, and are fed together."""
        while row.trie is not None and not row.is_done:
            tokens, can_end = row.trie.allowed(row.state, may_join=row.may_join)
            if not tokens:
                row.finish = "stop"
            elif len(tokens) == 1 and not can_end:
                self._append(row, tokens[0])
            else:
                return

    def _stop_at(self, row: "_Row") -> str | None:
        stops = [s for s in row.request.stop if s]
        reach = max((len(s.encode()) for s in stops), default=0) + 4  # a token is at least a byte; 4 for a character cut in two
        tail = self._text(row.out[-reach:])
        if not any(s in tail for s in stops):
            return None
        text = self._text(row.out)
        cuts = [text.index(s) for s in stops if s in text]
        return text[: min(cuts)] if cuts else None

    def _finish(self, row: "_Row") -> Generation:
        usage = Usage(len(row.prompt), len(row.out) + (row.finish == "stop" and row.text is None))
        if row.error is not None:
            return Generation("", usage=usage, finish="error", error=row.error, latency_s=row.latency_s)
        text = row.text if row.text is not None else self._text(row.out)
        if row.trie is not None:
            text = row.trie.text(row.state)
        text, calls = parse_tool_calls(text) if row.request.tools else (text, ())
        return Generation(text, calls, usage, "length" if row.finish == "length" else "stop", row.latency_s)

    # --- the tokenizer -----------------------------------------------------------------------------------------------

    def _text(self, ids: Sequence[int]) -> str:
        """Generated tokens as text, without special tokens other than those that mark tool calls."""
        kept = [i for i in ids if i not in self._hidden]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _ends(self) -> frozenset[int]:
        """Tokens that end an answer: of the generation config, the config, the tokenizer, and the template's end of turn."""
        if self._end_ids is None:
            ends: set[int] = set()
            for where in (self.model.generation_config, self.model.config, self.tokenizer):
                value = getattr(where, "eos_token_id", None)
                ends.update([value] if isinstance(value, int) else value or [])
            self._end_ids = frozenset(ends | {self._end_of_answer()} - {-1})
        return self._end_ids

    def _end_of_answer(self) -> int:
        """The token that ends an answer in this template, else the tokenizer's end of text, else -1."""
        marker = find_end_of_turn(self.tokenizer)
        token = self.tokenizer.convert_tokens_to_ids(marker) if marker else self.tokenizer.eos_token_id
        return -1 if token is None else int(token)

    def _in_place(self) -> Tokenise:
        if self._tokenise is None:
            self._tokenise = tokeniser_in_place(self.tokenizer)
        return self._tokenise

    def _trie(self, constraint: OneOf) -> OptionTrie:
        if constraint not in self._tries:
            if len(self._tries) >= 64:  # label sets repeat; quoted passages differ for every request
                self._tries.pop(next(iter(self._tries)))
            self._tries[constraint] = OptionTrie(constraint, self._in_place())
        return self._tries[constraint]


@dataclass(slots=True)
class _Row:
    """One request under way."""

    index: int
    request: Request
    prompt: list[int]
    limit: int  # tokens; for a constraint, where no further option is begun
    trie: OptionTrie | None = None
    state: State = ()
    out: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)  # chosen, not yet fed
    generator: torch.Generator | None = None
    text: str | None = None  # set where a stop string cut it
    finish: str = ""
    error: str | None = None
    latency_s: float = 0.0

    @property
    def is_done(self) -> bool:
        return bool(self.finish) or self.error is not None

    @property
    def may_join(self) -> bool:
        return len(self.out) < self.limit

    @property
    def tokens_at_most(self) -> int:
        answer = self.limit if self.trie is None else min(self.trie.longest, max(0, self.limit) + self.trie.longest_option)
        return len(self.prompt) + answer + 1


@dataclass(frozen=True, slots=True)
class _Prefix:
    """What rows begin with, computed: learnt vectors, if there are any, and the beginning that prompts share."""

    batch: Batch
    length: int  # tokens of the prompts


def _settle_alone(trie: OptionTrie, tokens: tuple[int, ...], logits: Tensor) -> tuple[int, ...]:
    """The first tokens that are left once it is settled whether an option stands alone."""
    lone = tuple(t for t in tokens if t in trie.alone_first)
    others = tuple(t for t in tokens if t not in trie.alone_first)
    if not lone or not others:
        return tokens
    share = torch.softmax(logits[torch.tensor([*lone, *others], device=logits.device)].double(), dim=-1)[: len(lone)].sum()
    return lone if float(share) > trie.alone_above else others


def _pick(logits: Tensor, row: _Row) -> int:
    """Index into `logits` (float32, shape (n,)): the largest, or a draw by the row's own generator."""
    if row.request.temperature <= 0:
        return int(logits.argmax())
    p, order = torch.softmax(logits.cpu().double() / row.request.temperature, dim=-1).sort(descending=True, stable=True)
    total = p.cumsum(0)
    nucleus = int((total - p < row.request.top_p).sum()) or 1
    draw = torch.rand((), generator=row.generator, dtype=torch.float64) * total[nucleus - 1]
    return int(order[min(int(torch.searchsorted(total[:nucleus], draw, right=True)), nucleus - 1)])


@contextmanager
def _as_served(model: Any) -> Iterator[None]:
    """Without dropout and gradients, whatever training has set."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


# --- loading -------------------------------------------------------------------------------------------------------------


def _resolve(name: str) -> str:
    if name == "mini":
        from sadari.mini import MINI_PATH

        return str(MINI_PATH)
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(
                f"{name}: has no config.json, so it is no model folder. Save the model with save_pretrained, or correct the path."
            )
        return name
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists():
        raise ModelError(f"{name}: there is no such folder. Correct `model:`, or give a Hugging Face name such as OWNER/MODEL.")
    return name


def _load_tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as e:  # transformers raises OSError, ValueError, ImportError and its own
        raise _cannot_load(source, "tokenizer", e) from e


def _load_weights(source: str, precision: Precision) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    how = _four_bits(source) if precision == "nf4" else {"dtype": getattr(torch, precision)}
    shows_progress = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, found = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True, **how)
    except Exception as e:
        raise _cannot_load(source, "model", e) from e
    finally:
        if shows_progress:
            logging.enable_progress_bar()
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise ModelError(
            f"{source}: models of the kind {model.config.model_type!r} keep no key-value cache and cannot run here yet."
        )
    for kind, what in (
        ("missing_keys", "misses"),
        ("mismatched_keys", "has in other shapes"),
        ("unexpected_keys", "adds"),
    ):
        keys = sorted(str(k[0] if isinstance(k, tuple) else k) for k in found.get(kind) or ())
        if keys:
            raise ModelError(
                f"{source}: against config.json its weight file {what} {len(keys)} weights ({', '.join(keys[:3])}). "
                "The folder is incomplete or mixes two models: save or download it again."
            )
    return model


def _four_bits(source: str) -> dict[str, Any]:
    """How weights are loaded in NF4.

    Source:
        Dettmers et al. (2023), arXiv 2305.14314: normal floats of four bits, their scales quantised once more.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(f"{source}: precision nf4 needs bitsandbytes, which is not installed. Run `pip install 'sadari[qlora]'`.")
    from transformers import BitsAndBytesConfig

    on_accelerator = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_accelerator else torch.float32
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return {"dtype": dtype, "quantization_config": settings, "device_map": {"": "cuda" if on_accelerator else "cpu"}}


def _cannot_load(source: str, what: str, e: Exception) -> ModelError:
    reason = str(e).strip().split("\n")[0]
    if Path(source).is_dir():
        return ModelError(f"{source}: the {what} cannot be read ({reason}). Save or download the folder again.")
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    why = "HF_HUB_OFFLINE is set and it is not in the local cache" if offline else reason
    return ModelError(
        f"{source}: no such folder, and the {what} cannot be had from the Hugging Face hub: {why}. "
        f"Where there is a network, run `hf download {source} --local-dir DIR`, and write `model: DIR`; "
        "or write `model: mini`, which is bundled."
    )
