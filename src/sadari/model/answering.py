"""From requests to rows of tokens, and from rows to generations: what every model has in common that draws its tokens here."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sadari.errors import ConfigError, ContextError, DataError, ModelError, SadariError
from sadari.model.chat import render_prompt, render_text
from sadari.model.engine import Engine, Row, Sampling
from sadari.model.grammar import Guide, OptionGuide, OptionTrie, call_guide, grammars_of
from sadari.model.speech import Speech, Transcript
from sadari.model.toolcalls import AnswerReader, CallReader, Read, TemplateReader, read_with, reader_of
from sadari.types import Delta, Generation, Message, OneOf, Request, TokenScore, ToolCall, ToolSpec, Usage

RANGES: dict[str, tuple[float, float]] = {
    "max_new_tokens": (0, 2**24),
    "temperature": (0, 100),
    "top_p": (0, 1),
    "top_k": (0, 2**24),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "seed": (-(2**62), 2**62),
    "n": (1, 1024),
    "logprobs": (0, 100),
}
"""What the fields of a request may be."""

MOST_STOPS, LONGEST_STOP = 64, 1000


def check_request(request: Request) -> None:
    """Refuse what would fail later, among the requests of others.

    Raises:
        ConfigError: If a field is out of its range.
        DataError: If a text holds half a surrogate pair, which no tokenizer takes.
    """
    for name, (low, high) in RANGES.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"{name} is {value!r}, and has to lie between {low:g} and {high:g}.")
    if len(request.stop) > MOST_STOPS or any(len(stop) > LONGEST_STOP for stop in request.stop):
        raise ConfigError(f"there may be {MOST_STOPS} stop strings of {LONGEST_STOP} characters at most.")
    texts = [("stop", stop) for stop in request.stop]
    texts += [(f"message {i}", message.content) for i, message in enumerate(request.messages, 1)]
    texts += [("tools", str(tool)) for tool in request.tools]
    if isinstance(request.constraint, OneOf):
        texts += [("an option", option) for option in request.constraint.options]
    for where, text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as e:
            raise DataError(f"{where}: character {e.start + 1} is half a surrogate pair. Take it out.") from e


class AnsweringModel(ABC):
    """A model whose answers are drawn here, token by token, from the scores of whatever computes them."""

    speech: Speech
    """The tokenizer's side of the model."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How the model was asked for."""

    @property
    @abstractmethod
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None if the model does not say."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """What computes."""

    @abstractmethod
    def require_adapter(self, name: str | None) -> None:
        """Raise if the model was not given the adapter that a request names.

        Raises:
            SadariError: If it was not.
        """

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Length in tokens of the rendered prompt, generation prompt included."""
        return len(render_prompt(self.speech.tokenizer, messages, tools))

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation per request, in order.

        A prompt longer than the context, or one that the template refuses, gives `finish="error"`; the others go on. An option of
        a `OneOf` is never cut: `max_new_tokens` only keeps further options from being joined.
        """
        rows: list[list[Row] | str] = []
        for request in requests:
            try:
                rows.append([self._row(request, seed) for seed in range(request.seed, request.seed + max(1, request.n))])
            except SadariError as e:
                rows.append(str(e))
        for adapter in dict.fromkeys(request.adapter for request in requests):
            asked = zip(requests, rows, strict=True)
            self.engine.run(
                [row for r, some in asked if r.adapter == adapter and not isinstance(some, str) for row in some], adapter
            )
        return [
            Generation("", finish="error", error=some) if isinstance(some, str) else self._finish(request, some)
            for request, some in zip(requests, rows, strict=True)
        ]

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer piece by piece, the whole generation last; closing the iterator frees its place at once. `n` is 1.

        Raises:
            BusyError: If as many requests wait as may.
        """
        try:
            row = self._row(request, request.seed)
        except SadariError as e:
            yield Delta(done=Generation("", finish="error", error=str(e)))
            return
        reader = self._reader(request)
        transcript = Transcript(self.speech, request.stop, shows_all=isinstance(reader, TemplateReader))
        self.engine.submit(row, request.adapter)
        try:
            is_done = row.is_done
            while not is_done:
                out, is_done = self.engine.advance(row)
                if not is_done and not isinstance(row.guide, OptionGuide):  # whose text is known at the end
                    yield from _deltas(reader, transcript.more(out))
            if row.error is None:
                yield from _deltas(reader, transcript.rest(self._said(row, reader)))
                yield from _deltas(reader, None)
            yield Delta(done=self._finish(request, [row]))
        finally:
            self.engine.cancel(row, request.adapter)

    def rank_options(self, request: Request) -> list[tuple[str, float]]:
        """Every option of the request's constraint with its log-probability as the whole answer, best first.

        In nats, end of turn included. Exact where greedy decoding is not: the most probable option need not begin with the most
        probable token.

        Raises:
            ModelError: If the request's constraint is no `OneOf`, holds no options, or does not fit the context.
        """
        if not isinstance(request.constraint, OneOf):
            raise ModelError("rank_options needs a request whose constraint names the options.")
        check_request(request)
        self.require_adapter(request.adapter)
        prompt, trie = render_prompt(self.speech.tokenizer, request.messages, request.tools), self.speech.trie(request.constraint)
        self._room(prompt, trie)
        answers = [[*ids, self.speech.end] for ids in self.speech.in_place(trie.options)]
        rows = [Row(prompt + ids, scored=len(ids)) for ids in answers]
        self.engine.run(rows, request.adapter)
        failed = next((row.error for row in rows if row.error), None)
        if failed:
            raise ModelError(f"{self.name}: {failed}")
        scores = [sum(chosen.log_probability for chosen in row.chosen) for row in rows]
        return sorted(zip(trie.options, scores, strict=True), key=lambda pair: (-pair[1], trie.options.index(pair[0])))

    def decisions(self, constraint: OneOf, text: str) -> list[tuple[int, tuple[int, ...]]] | None:
        """Each token of `text`, and the end after it, with the tokens it is chosen among; None if `constraint` forbids it."""
        return self.speech.trie(constraint).decisions(text, self.speech.end)

    # --- requests to rows, rows to generations -----------------------------------------------------------------------

    def _prompt(self, request: Request) -> list[int]:
        """The prompt's tokens; of a conversation that may slide, with as many of its last turns as leave room for the answer."""
        turns = request.messages
        prompt = render_prompt(self.speech.tokenizer, turns, request.tools)
        context = self.context
        if not request.slides or context is None:
            return prompt
        answer = min(request.max_new_tokens, context // 2)
        if isinstance(request.constraint, OneOf):
            answer = self.speech.trie(request.constraint).longest_option + 1
        # A conversation begins with a question: never with an answer, or with the result of a call that is not there.
        starts = [i for i, turn in enumerate(turns) if turn.role == "user"]
        if len(prompt) + answer <= context or not starts:
            return prompt
        # The first question from which on all fits; the last one, if none does.
        at = bisect_left(starts[:-1], True, key=lambda start: len(self._without(request, start)) + answer <= context)
        return self._without(request, starts[at])

    def _without(self, request: Request, start: int) -> list[int]:
        """The prompt's tokens without the turns before `start`, instructions aside."""
        kept = [turn for i, turn in enumerate(request.messages) if i >= start or turn.role == "system"]
        return render_prompt(self.speech.tokenizer, kept, request.tools)

    def _row(self, request: Request, seed: int) -> Row:
        check_request(request)
        prompt = self._prompt(request)
        self.require_adapter(request.adapter)
        trie = self.speech.trie(request.constraint) if isinstance(request.constraint, OneOf) else None
        room = self._room(prompt, trie)
        limit = int(min(request.max_new_tokens, room))
        if trie is None:
            guide, stop_at = self._guide(request), self.speech.until(request.stop)
        else:
            # A further option may be begun only where its longest one still fits.
            begun = int(min(limit, room - trie.longest_option - 1))
            guide, stop_at = OptionGuide(trie, self.speech.ends, begun, is_greedy=request.temperature <= 0), None
            limit = min(trie.longest, max(0, begun) + trie.longest_option) + 1
        sampling = Sampling(
            request.temperature,
            request.top_p,
            request.top_k,
            request.min_p,
            request.repetition_penalty,
            seed,
            request.logprobs,
        )
        row = Row(prompt, limit, sampling, self.speech.ends, guide, stop_at)
        if limit < 1 and not row.is_done:
            row.finish = "length"
        return row

    def _guide(self, request: Request) -> Guide | None:
        """What holds the answer to its constraint, or its calls to their schemas."""
        if request.constraint is None and not (request.tools and request.holds_calls):
            return None
        grammars = grammars_of(self.speech.tokenizer, self.speech.ends)
        if request.constraint is not None:
            assert not isinstance(request.constraint, OneOf)
            return grammars.guide(request.constraint)
        parallel = request.parallel_tool_calls
        return call_guide(grammars, self.speech.format, request.tools, request.tool_choice, is_parallel=parallel)

    def _room(self, prompt: Sequence[int], trie: OptionTrie | None) -> float:
        """Tokens that are left for the answer.

        Raises:
            ContextError: If they are not enough.
        """
        room = math.inf if self.context is None else self.context - len(prompt)
        needed = trie.longest_option + 1 if trie else 1
        if room < needed:
            asked = f"the longest option another {needed - 1}" if trie else "no room is left for an answer"
            raise ContextError(
                f"the prompt has {len(prompt)} tokens and {asked}, but the context of {self.name} is {self.context} tokens. "
                "Shorten the prompt: fewer or shorter passages, examples or turns."
            )
        return room

    def _reader(self, request: Request) -> AnswerReader | None:
        """Who finds the tool calls in an answer; None where there are none to be found."""
        if not request.tools or request.tool_choice == "none":
            return None
        if request.holds_calls:
            return CallReader(self.speech.format, request.tools)
        prompt = render_text(self.speech.tokenizer, request.messages, request.tools, opens_answer=True)
        return reader_of(self.speech.tokenizer, request.tools, prompt)

    def _finish(self, request: Request, rows: Sequence[Row]) -> Generation:
        first, *others = (self._generation(request, row) for row in rows)
        return first if not others else replace(first, others=tuple(others))

    def _generation(self, request: Request, row: Row) -> Generation:
        usage = Usage(len(row.prompt), row.written + row.has_ended_itself)
        latency_s = row.times.get("ended", row.times["submitted"]) - row.times["submitted"]
        if row.error is not None:
            return Generation("", usage=usage, finish="error", error=f"{self.name}: {row.error}", latency_s=latency_s)
        reader = self._reader(request)
        text = self._said(row, reader)
        read = read_with(reader, text) if reader is not None else Read(text, ())
        said = read.text.strip() if read.calls else read.text
        finish, told = row.finish or "stop", self._logprobs(row)
        return Generation(said, read.calls, usage, finish, latency_s, repairs=read.repairs, logprobs=told)

    def _said(self, row: Row, reader: AnswerReader | None) -> str:
        if isinstance(row.guide, OptionGuide):
            return row.guide.text
        if row.text is not None:
            return row.text
        if isinstance(reader, TemplateReader):  # which goes by special tokens, the one that ends the answer among them
            return self.speech.text([*row.out, *([self.speech.end] if row.finish == "stop" else [])], shows_all=True)
        return self.speech.text(row.out)

    def _logprobs(self, row: Row) -> tuple[TokenScore, ...]:
        told = self.speech.token
        return tuple(TokenScore(told(c.token), c.log_probability, tuple((told(t), p) for t, p in c.likeliest)) for c in row.chosen)


def _deltas(reader: AnswerReader | None, text: str | None) -> Iterator[Delta]:
    """What an answer's next text, None for its end, adds to a stream."""
    if reader is None:
        pieces: Sequence[str | ToolCall] = [text] if text else []
    else:
        pieces = reader.end() if text is None else reader.feed(text)
    for piece in pieces:
        if piece:
            yield Delta(text=piece) if isinstance(piece, str) else Delta(tool_call=piece)
