"""The nouns of sadari: frozen values, and the protocols of those who make and use them.

Data flows one way: `Task -> (Rung: System -> System) -> Scorecard -> Verdict -> Run`. This module imports nothing else of
sadari. Everything here can be written to JSON and read back with `pydantic.TypeAdapter`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Protocol, runtime_checkable

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


# --- conversations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool, as proposed by a model or recorded in data."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """A call that is right, where more than one way of writing it is.

    Args:
        arguments: For each argument, its accepted values.
        optional: Arguments that may be left out.
    """

    name: str
    arguments: Mapping[str, tuple[Any, ...]]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told about a tool; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn in the OpenAI shape.

    `weight` is the share of this turn in the training loss, in [0, 1]; None means the default: 1 for assistant turns, 0 for others.
    """

    role: Role
    content: str
    weight: float | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a document: characters `[start, end)` of the NFC text, and the text itself.

    Args:
        title, page, date: Of the source, for people to read, as in `Chunk`. Spans are equal without them.
    """

    document: str
    start: int
    end: int
    quote: str
    title: str = field(default="", compare=False)
    page: int = field(default=0, compare=False)
    date: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """One source document; `id` is its path relative to the documents folder.

    Args:
        text: In NFC, with Markdown headings and tables.
        pages: Where in `text` each page begins; () if there are no pages.
        date: When the source last changed, as YYYY-MM-DD, as the document, its server or its table says; "" if none does.
        access: Labels of which a reader needs one; () is for everyone.
        metadata: What a search can be narrowed to: department, product, language.
    """

    id: str
    title: str
    text: str
    pages: tuple[int, ...] = ()
    date: str = ""
    access: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Characters `[start, end)` of a document, under its title and the nearest heading: what is retrieved.

    Args:
        header: The head of the table that these rows were cut from, which is shown above them; "" for all else.
        page: The page it begins on, from 1; 0 if there are no pages.
        date, access, metadata: Those of the document.
    """

    document: str
    title: str
    start: int
    end: int
    text: str
    header: str = ""
    page: int = 0
    date: str = ""
    access: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a right answer is.

    Args:
        texts: Accepted answers; the first is the one to learn from.
        facts: Each fact is a tuple of accepted spellings; a right answer holds one spelling of every fact.
        calls: Tool calls that a right answer makes.
        accepts: The same calls with all their accepted arguments, one for each of `calls`; () accepts `calls` alone.
        spans: Where the documents say so.
        abstain: True if the right answer is that the documents do not say.
    """

    texts: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    calls: tuple[ToolCall, ...] = ()
    spans: tuple[Span, ...] = ()
    abstain: bool = False
    accepts: tuple[AcceptedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation of the company's data.

    `messages` is the whole conversation, the final assistant turn included if the row holds one. `kind` is "chat", or "text" for
    raw text (one assistant message), or "preference" (then `rejected` is the worse answer).
    """

    id: str
    messages: tuple[Message, ...]
    reference: Reference = Reference()
    tools: tuple[ToolSpec, ...] = ()
    group: str = ""
    tags: tuple[str, ...] = ()
    kind: Literal["chat", "text", "preference"] = "chat"
    rejected: str | None = None

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The conversation up to the answer that is asked for."""
        ends_in_answer = bool(self.messages) and self.messages[-1].role == "assistant"
        return self.messages[:-1] if ends_in_answer else self.messages

    @property
    def target(self) -> Message:
        """The answer to learn: the final assistant turn, else the first reference text."""
        if self.messages and self.messages[-1].role == "assistant":
            return self.messages[-1]
        return Message("assistant", self.reference.texts[0] if self.reference.texts else "", tool_calls=self.reference.calls)

    @property
    def question(self) -> str:
        """The last user turn, or "" for raw text."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


# --- what answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a conversation is put to the model.

    Args:
        instruction: System text; "" for none.
        labels: Labels listed to the model at the end of the system text; () lists none.
        shots: Similar training examples shown as earlier turns, drawn from `System.examples`.
        chain_of_thought: Ask for reasoning before the answer; the answer is what follows the last `ANSWER_MARK`.
    """

    instruction: str = ""
    labels: tuple[str, ...] = ()
    shots: int = 0
    chain_of_thought: bool = False


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is looked up for each question.

    Args:
        source: "documents" (chunks, cited) or "examples" (similar training examples with their answers).
        k: How many are put into the prompt, best first.
        chunk_tokens: Longest chunk, in tokens of the bundled tokenizer; 1 makes every sentence a chunk.
        overlap: Tokens that a chunk repeats of the one before.
        context: Tokens of the same section that are shown around a chunk, itself among them; 0 shows the chunk alone.
        terms: What the words of a search are: character bigrams, morphemes (Kiwi), both, or none.
        embedder: "bundled", a sentence-transformers name or folder, or "openai:NAME"; "" searches by words alone.
        vectors: Weight of the embedder's ranking beside that of the words, in [0, 1].
        reranker: "learned" (by features of question and passage), the folder of one that was trained, or of a cross-encoder; "" for
            none.
        place: Where the passages stand: above the question, or at the end of the system text.
        min_score: Share of the question's own BM25 weight that the best chunk must cover, in [0, 1]; below it the system abstains.
        cites: Sources of an answer are "traced" afterwards; or the model is "asked" to name them by their numbers; or it is "held"
            to sentences with such marks. Labels and quotes are always traced.
        unsupported: What becomes of a sentence that no passage supports; an answer of which nothing remains is the abstention.
        least_support: Share of a sentence that its sources must say, in [0, 1].
        orders: Of a passage in which orders to the model are found, "tell" the model so, or "leave_out" the passage.
        newest: What is found is overruled by what a newer document says in like words, if the scores of the two are this near to
            each other, as a share of the span from the best to the last; that is shown in its place. 0 overrules nothing.
    """

    source: Literal["documents", "examples"] = "documents"
    k: int = 3
    chunk_tokens: int = 200
    overlap: int = 0
    context: int = 0
    terms: Literal["bigrams", "morphemes", "both", "none"] = "bigrams"
    embedder: str = ""
    vectors: float = 0.3
    reranker: str = ""
    place: Literal["question", "system"] = "question"
    min_score: float = 0.0
    cites: Literal["traced", "asked", "held"] = "traced"
    unsupported: Literal["keep", "mark", "remove"] = "keep"
    least_support: float = 0.6
    orders: Literal["tell", "leave_out"] = "tell"
    newest: float = 0.0


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen.

    Args:
        choices: The answer is exactly one of these (labels); () leaves it free.
        quote: The answer is one to `quote` sentences of the retrieved passages, verbatim, or the abstention; 0 leaves it free.
        abstain_above: With `quote`, probability above which it abstains.
        schema: JSON Schema (draft 2020-12), as JSON text, that the answer satisfies; "" leaves it free. With `quote` its fields are
            read from the quoted sentences; otherwise the model writes them, held to the schema.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    choices: tuple[str, ...] = ()
    quote: int = 0
    abstain_above: float = 0.5
    schema: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """A frozen description of something that answers. Everything that is compared is a System.

    Args:
        model: "mini", a folder, a Hugging Face name, or "openai:NAME".
        adapter: Folder of a PEFT adapter over `model`, or None.
        documents: JSONL file of `Document`s, or None.
        examples: JSONL file of `Example`s that few-shot and example retrieval draw from, or None.
        tools_shown: Of more tools than this, those found for a question are shown to it; 0 shows all.
        abstention: What it says when the documents do not hold the answer.
        toolbox: File that says which tools it opens, and how it acts with them; None for one that only answers.
        index: URI of the store that `sadari index` keeps, searched as it is by now in place of `documents`; secrets as ${NAME}.
    """

    model: str
    adapter: Path | None = None
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    prompt: Prompt = Prompt()
    retrieval: Retrieval | None = None
    tools: tuple[ToolSpec, ...] = ()
    tools_shown: int = 0
    decoding: Decoding = Decoding()
    documents: Path | None = None
    examples: Path | None = None
    abstention: str = "문서에서 확인할 수 없습니다."
    base_url: str | None = None
    toolbox: Path | None = None
    index: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it answers at an endpoint, where tokens are paid, and not on this machine."""
        return self.model.startswith("openai:")

    def with_(self, **changes: Any) -> "System":
        """This system with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a System says to one conversation.

    `latency_s` is from the start of the batch that the answer came from; what one user would wait is measured with one request.
    `error` is None, or why there is no answer; such an answer scores 0.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Span, ...] = ()
    abstained: bool = False
    usage: Usage = Usage()
    latency_s: float = 0.0
    error: str | None = None


# --- search ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Who searches, and in what.

    Args:
        labels: Access labels that the reader holds; a chunk with labels is found only by who holds one of them.
        within: For each name, the values of `metadata` that are looked in; {} looks everywhere.
    """

    labels: frozenset[str] = frozenset()
    within: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def may_see(self, chunk: Chunk) -> bool:
        """Whether a chunk is open to this reader and within what is looked in."""
        is_open = not chunk.access or not self.labels.isdisjoint(chunk.access)
        return is_open and all(chunk.metadata.get(name) in values for name, values in self.within.items())


EVERYONE = Reader()
"""Someone without labels, who looks everywhere."""


@dataclass(frozen=True, slots=True)
class Found:
    """One found chunk.

    Args:
        score: Higher is better; comparable within one search only.
        coverage: Share of the query's term weight (inverse document frequency) that the chunk holds, in [0, 1].
    """

    chunk: Chunk
    score: float
    coverage: float = 0.0


@runtime_checkable
class Retriever(Protocol):
    """What finds chunks: a store of this project, or any other one behind an adapter."""

    def search(self, query: str, k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, best first; fewer if fewer match."""
        ...


# --- tools -------------------------------------------------------------------------------------------------------------


Effect = Literal["read", "write", "irreversible"]
"""What a call changes: nothing; something that can be put back; something that cannot."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the author of a tool declares of its calls. The defaults are those of a read whose result nobody vouches for.

    Args:
        is_idempotent: The same call made twice changes no more than made once. Only reads and such calls are ever repeated by
            themselves, after a failure or a crash.
        needs_approval: Whether a person approves every call; None asks for those that change something.
        is_trusted: What it returns was written by the company or computed by this program. Results of all other tools may hold
            instructions: once one is in the conversation, no call that changes something goes without a person.
        sends: Whether it carries its arguments to an address among them. Once text from outside is in the conversation, an
            address that stands nowhere in it word for word, and so may carry what was read here, goes with a person only.
        timeout_s: Seconds after which a call counts as failed, or as unknown if it may have changed something.
        retries: How often a failed call is made again, if it may be.
        max_chars: Characters of a result that the model is shown; what is cut is said.
    """

    effect: Effect = "read"
    is_idempotent: bool = False
    needs_approval: bool | None = None
    is_trusted: bool = False
    sends: bool = False
    timeout_s: float = 30.0
    retries: int = 0
    max_chars: int = 8_000

    @property
    def may_repeat(self) -> bool:
        """Whether a call whose end nobody saw may be made again."""
        return self.effect == "read" or self.is_idempotent


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a call is made: told to the tool by the host, never by the model.

    Args:
        user: Who asks; "" for somebody unknown.
        reader: What documents the user may see.
        now: The time of the request, with its zone; tests give a fixed one.
        language: Of the conversation, in which errors are told to the model.
        location: Where the user consented to be; "" if nobody said.
        key: Idempotency key of this call, the same when it is repeated; "" outside a run.
    """

    user: str = ""
    reader: Reader = EVERYONE
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())
    language: Literal["ko", "en"] = "ko"
    location: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave.

    Args:
        text: What the model reads.
        data: The same for programs and pages: JSON values; None if there is no more than the text.
        citations: The passages it holds.
    """

    text: str
    data: Any = None
    citations: tuple[Span, ...] = ()


@runtime_checkable
class Tool(Protocol):
    """Something an agent can do."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        ...

    @property
    def traits(self) -> Traits:
        """What its author declares."""
        ...

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Do it. The arguments were found valid by `spec.parameters`; they are still written by a model.

        Raises:
            ToolFailedError: If it did not work; the message is for the model, in `caller.language`, and says how to do better.
            ToolRefusedError: If it is not allowed, whatever the arguments are changed to.
        """
        ...


# --- models ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OneOf:
    """A decoding constraint: the text is one to `most` different `options`, joined by `joint`.

    An option in `alone` stands alone: it is never joined with another. It is chosen if, of the probability of all that may come
    first, its first token has more than `alone_above`: many options share what is left, so the likeliest says little against it.
    """

    options: tuple[str, ...]
    most: int = 1
    alone: tuple[str, ...] = ()
    alone_above: float = 0.5
    joint: str = " "


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A decoding constraint: the text is one JSON value that `schema` (JSON Schema, draft 2020-12) accepts."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Regex:
    """A decoding constraint: the whole text matches `pattern`, in the syntax of Rust (no look-around, no back-references)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """A decoding constraint: the whole text follows a context-free grammar in Lark's notation; its first rule is `start`."""

    lark: str


Constraint = OneOf | JsonSchema | Regex | Grammar


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt for a `Model`.

    Args:
        temperature: 0 is greedy; all that follows here but `repetition_penalty` then changes nothing.
        top_p: The likeliest tokens that together have this probability are drawn from; 1 takes all.
        top_k: So many of the likeliest tokens are drawn from; 0 takes all.
        min_p: Tokens less likely than this share of the likeliest are not drawn; 0 takes all.
        repetition_penalty: Divides the positive scores of tokens of the prompt and the answer, multiplies the negative ones.
        seed: Of this request alone: neighbours in a batch do not change what is drawn.
        stop: The answer ends before the first of these texts.
        tool_choice: "auto", "none" (no call), "required" (at least one), or the name of the tool that is called.
        parallel_tool_calls: Whether there may be more than one.
        holds_calls: Whether calls are held to their schemas as they are written; otherwise they are read as they come.
        n: So many answers; those after the first are drawn with the next seeds, and stand in `Generation.others`.
        logprobs: For each token its log-probability and those of so many likeliest tokens; None for none.
        adapter: Name under which the model was given an adapter for this request; None for the model as it was loaded.
        slides: A conversation too long for the context loses its oldest turns, instructions aside, instead of being refused.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    holds_calls: bool = True
    n: int = 1
    logprobs: int | None = None
    adapter: str | None = None
    slides: bool = False


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of an answer, its log-probability in nats before any constraint or sampling, and the likeliest tokens there."""

    token: str
    log_probability: float
    likeliest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """What a `Model` made of one request.

    Args:
        finish: "stop" where the model ended; "length" at the token limit; "truncated" at the limit with a constraint not yet met,
            which no one may take for valid; "error" when `error` says why there is no text.
        repairs: What was mended in tool calls before they could be read.
        logprobs: Of every token, if they were asked for.
        others: The further answers of a request with `n` above 1.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish: Literal["stop", "length", "truncated", "error"] = "stop"
    latency_s: float = 0.0
    error: str | None = None
    repairs: tuple[str, ...] = ()
    logprobs: tuple[TokenScore, ...] = ()
    others: tuple["Generation", ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What a stream adds: text, or a tool call that is complete; the last one carries the whole generation."""

    text: str = ""
    tool_call: ToolCall | None = None
    done: Generation | None = None


@runtime_checkable
class Model(Protocol):
    """What generates: local torch, remote, or scripted."""

    @property
    def name(self) -> str:
        """How the model was asked for."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation per request, in order. A request that fails gives `finish="error"`; the others go on."""
        ...

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Length in tokens of the rendered prompt, generation prompt included."""
        ...


@runtime_checkable
class StreamingModel(Model, Protocol):
    """A `Model` that tells its answer while it writes."""

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer piece by piece, the whole generation last. Closing the iterator ends the work on it.

        A request that fails gives one `Delta` whose generation says why. `n` is 1.

        Raises:
            BusyError: If as many requests wait as may.
        """
        ...


# --- measuring ---------------------------------------------------------------------------------------------------------


Device = Literal["machine", "accelerator", "remote"]
"""Where a system is built or answers."""

Alarm = Literal["none", "notice", "serious"]
"""How much something that tuning did beside its task should worry a person."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is, in [0, 1], and why."""

    value: float
    reason: str = ""


class Scorer(Protocol):
    """Judges one answer against its example."""

    @property
    def name(self) -> str:
        """The scorer's name, its tokenizer or rule included, as printed in reports."""
        ...

    def score(self, example: Example, answer: Answer) -> Score:
        """An answer with an `error` scores 0."""
        ...


@dataclass(frozen=True, slots=True)
class Cost:
    """What was paid once: wall seconds and money in `money.currency`."""

    seconds: float = 0.0
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What one system achieved on one split, one entry per example in file order, and what it cost.

    Args:
        ids: Example ids.
        scores: In [0, 1]; 0 for a failure.
        reasons: Why, for each score.
        failures: How many answers were errors (they score 0).
        latencies_s: Seconds per answer; of a climb's test set, those of a sample that was asked one at a time.
        low, high: 95 % interval of `quality`: Wilson when all scores are 0 or 1, else percentile bootstrap.
        throughput: Answers per second over the whole split.
        cost_per_request: In `money.currency`, paid for ever.
        groups: The group of each example, "" for none; () if there are no groups. Examples of one group are resampled together.
        by_seed: Scores of every seed that a technique was trained with, one row per seed; () for one seed. Then `scores` are
            their means.
        device: Where it answered, which says what is paid: hours of a machine, of an accelerator, or tokens.
    """

    rung: str
    scorer: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    reasons: tuple[str, ...]
    latencies_s: tuple[float, ...]
    prompt_tokens: tuple[int, ...]
    completion_tokens: tuple[int, ...]
    failures: int
    low: float
    high: float
    throughput: float
    cost_per_request: float
    groups: tuple[str, ...] = ()
    by_seed: tuple[tuple[float, ...], ...] = ()
    device: Device = "machine"

    @property
    def quality(self) -> float:
        """Mean score, in [0, 1]."""
        return fmean(self.scores) if self.scores else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from two scorecards on the same examples.

    Args:
        outcome: What the paired test proves.
        taken: Whether the challenger becomes the incumbent.
        gain, low, high: Paired difference in quality, challenger minus incumbent, and its 95 % interval.
        p_value: Two-sided; None for the baseline, which is compared with nothing.
        more_examples: About how many more test examples would decide, where that many are missing.
        reason: One sentence for a person.
        level: What `p_value` must stay below.
        needed: What the lower end of the interval must exceed to be taken, in [0, 1].
    """

    outcome: Literal["better", "not_worse", "worse", "cannot_tell", "baseline"]
    taken: bool
    gain: float
    low: float
    high: float
    p_value: float | None
    more_examples: int | None
    reason: str
    monthly_gain: float | None = None
    payback_months: float | None = None
    level: float = 0.05
    needed: float = 0.0


# --- the climb ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss curve: `(step, value)` pairs."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Built:
    """What a rung made: the system, its curves, and notes for the report (rows used, trials, what was cut).

    `cost` is filled by the ladder, which times the building; a rung adds only money it paid elsewhere.

    Args:
        replicas: The same technique trained with other seeds. They are measured with `system`, and quality is the mean.
    """

    system: System
    cost: Cost = Cost()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    replicas: tuple[System, ...] = ()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a rung may use: everything of the task but its test examples.

    Args:
        goal: The task's goal, in words.
        language: Of the goal; instructions are written in it.
        labels: The label set of a label task, else ().
        documents: JSONL of documents, or None.
        scorer: Judges one answer.
        evaluate: Scores a system on given (validation) examples; cached by system and examples.
        load: Loads the model of a system, for rungs that train or sample.
        time_budget_s: Wall seconds this rung may use for building; None for no limit. Tuning turns it into steps before it
            starts, by measured speed, so that an interrupted climb repeats the same steps.
        tell: Takes a line of live progress.
        price_per_hour: Of the machine that trains, in `currency`; None if it is not priced.
        respond: How a system answers with a model at hand, through its tools if it has any; None answers without tools.
        find_personal: Names the kinds of personal data in a text, for rungs that send rows elsewhere; None where nobody looks.
    """

    goal: str
    language: Literal["ko", "en"]
    documents: Path | None
    labels: tuple[str, ...]
    tools: tuple[ToolSpec, ...]
    scorer: Scorer
    evaluate: Callable[[System, Sequence[Example]], Scorecard]
    load: Callable[[System], Model]
    seed: int = 0
    time_budget_s: float | None = None
    tell: Callable[[str], None] = field(default=lambda line: None)
    price_per_hour: float | None = None
    currency: str = "KRW"
    respond: Callable[[System, Model, Sequence[Example]], list[Answer]] | None = None
    find_personal: Callable[[str], Sequence[str]] | None = None


class Rung(Protocol):
    """One technique on the ladder, from prompting to compression."""

    @property
    def name(self) -> str:
        """As written in `ladder:`."""
        ...

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """Improve on `incumbent`; choose on `validation`; everything written goes under `workdir`.

        Called again after a crash with the same arguments, it continues from what `workdir` holds and gives the same result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of one climb, decided. `ends` says why the climb ends here; "" if it goes on."""

    index: int
    rung: str
    built: Built
    scorecard: Scorecard
    verdict: Verdict
    ends: str = ""
