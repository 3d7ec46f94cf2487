"""What is served: an agent and its model, opened once, with the log and the keys."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from sadari.agent.approval import Waiting
from sadari.agent.log import Log, RunEntry, Spent
from sadari.agent.log.database import open_database
from sadari.agent.loop import Loop
from sadari.errors import ConfigError, ModelError
from sadari.retrieve.embed import BUNDLED, Embedder, load_embedder
from sadari.serve.acts import Acts
from sadari.serve.asking import Desk
from sadari.serve.blind import BlindTable
from sadari.serve.faults import ApiError, missing
from sadari.serve.keys import Identity, Keys
from sadari.serve.metrics import Metrics
from sadari.serve.monitor import Monitor
from sadari.serve.oidc import Provider
from sadari.serve.options import ServeOptions
from sadari.serve.people import People
from sadari.serve.questions import Questions
from sadari.serve.rates import Attempts, Rates
from sadari.serve.retention import Retention
from sadari.serve.review import ReviewTable
from sadari.serve.serving import Loaded, Models, Serving, Stage, load_system
from sadari.serve.sessions import Sessions
from sadari.serve.steps import Steps
from sadari.serve.telemetry import from_environment
from sadari.serve.work import Workers
from sadari.types import Delta, Generation, Model, Request, StreamingModel, System, Usage

RAW = "-raw"
"""What the name of the raw model ends with."""


class Closing(Protocol):
    """What works beside the service until it is closed."""

    def close(self) -> None:
        """End it."""
        ...


class Service:
    """One agent for many clients.

    Args:
        loop: Who answers under the name of the service, on the log that the options name.
        model: Who answers as the raw model.
        options: How.
        digest: Of the system; "" for one that stands in no bundle.
        embedder: Name of the embedder, if the options name none.
        close: Lets go of what the agent's tools hold.
        system: What was loaded, whose documents are shown behind citations.

    Raises:
        ConfigError: If one is asked who one is and there is nobody, or the address needs it.
    """

    def __init__(
        self,
        loop: Loop,
        model: Model,
        options: ServeOptions,
        *,
        digest: str = "",
        embedder: str = BUNDLED,
        close: Callable[[], None] = lambda: None,
        system: System | None = None,
    ) -> None:
        self.log, self.options = loop.log, options
        self.stage = Stage(Serving(loop, model, digest, embedder, close, system))
        self._database = open_database(options.log)
        self.keys = Keys(self._database)
        self.attempts = Attempts()
        self.people = People(self._database, self.attempts)
        self.acts = Acts(self._database)
        self.sessions = Sessions(self._database, options.session_idle_minutes * 60, options.session_hours * 3600)
        self.provider = Provider(options.oidc) if options.oidc else None
        knows_somebody = bool(self.keys.all()) or not self.people.is_empty or self.provider is not None
        self.asks_keys = knows_somebody if options.keys is None else options.keys
        self._check_keys(knows_somebody)
        self.reviews, self.blind = ReviewTable(self._database), BlindTable(self._database)
        self.desk = Desk(self.stage, Questions(self._database))
        self.follower: Closing | None = None
        self.workers = Workers(options.at_once, options.waiting, options.wait_s)
        self.rates = Rates(options)
        self.waiting = Waiting(self.log)
        self.metrics = Metrics(lambda: self.workers.running, lambda: len(self.waiting.at(datetime.now().astimezone())))
        self.retention = Retention(self.log, self._database, options.retention_days)
        self.telemetry = from_environment(options.name, content=options.trace_content)
        told = (self.metrics, self.telemetry) if self.telemetry is not None else (self.metrics,)
        self.log.watchers.append(Steps(self.log, told))
        self.monitor = Monitor(self)
        self.add_adapters(model)

    def _check_keys(self, knows_somebody: bool) -> None:
        remedy = "Make one: sadari serve keys add NAME. For a person: sadari serve people add NAME."
        if not self.asks_keys and not self.options.is_local:
            behind = " through its proxy" if self.options.proxies else ""
            raise ConfigError(f"{self.options.host} can be reached by others{behind}, so keys are needed. {remedy}")
        if self.asks_keys and not knows_somebody:
            raise ConfigError(f"keys are asked for, but there are none. {remedy}")
        for entry in self.keys.all():
            if entry.is_open():
                self.check_priced(entry.identity)

    def check_priced(self, identity: Identity) -> None:
        """Refuse a key that is limited in money where nothing costs any.

        Raises:
            ConfigError: Says so.
        """
        if identity.money_per_day is not None and not self.options.is_priced:
            told = f"A key of {identity.user} is limited in money, but tokens have no price, so nothing would count."
            prices = "--prompt-price and --completion-price (price_per_1k_prompt_tokens, price_per_1k_completion_tokens)"
            raise ConfigError(f"{told} Start the server with {prices}.")

    def add_adapters(self, model: Model) -> None:
        """Let a raw model take the adapters that the options name.

        Raises:
            ConfigError: If it takes none.
        """
        add = getattr(model, "add_adapter", None)
        if self.options.adapters and add is None:
            raise ConfigError(f"adapters: {model.name} takes none. Only local models do.")
        for name, folder in self.options.adapters.items():
            assert add is not None
            add(name, folder)

    @property
    def model(self) -> Model:
        """Who answers as the raw model at the moment."""
        return self.stage.current.model

    @property
    def raw_name(self) -> str:
        """The name of the raw model."""
        return self.options.name + RAW

    @property
    def model_names(self) -> list[str]:
        """All that a client may name as a model: the agent, the raw model, and the raw model with each adapter."""
        return [self.options.name, self.raw_name, *(f"{self.raw_name}:{name}" for name in self.options.adapters)]

    def adapter_of(self, model: str) -> str | None:
        """The adapter that a model's name stands for.

        Raises:
            ApiError: 404, if there is no such model.
        """
        if model not in self.model_names or model == self.options.name:
            raise missing(f"model {model}; there are: {', '.join(self.model_names)}")
        return model.partition(":")[2] or None

    def is_agent(self, model: str) -> bool:
        """Whether a model's name stands for the agent."""
        return model == self.options.name

    def generate(self, request: Request, used: Callable[[Usage], None] = lambda usage: None) -> Iterator[Delta]:
        """What the raw model makes of a request, piece by piece, the whole last.

        Args:
            used: Is told what it took, also if nobody reads on: then each piece counts for a token.

        Raises:
            ApiError: If it makes nothing of it.
        """
        with self.stage.using() as serving:
            yield from self._generate(serving.model, request, used)

    def _generate(self, model: Model, request: Request, used: Callable[[Usage], None]) -> Iterator[Delta]:
        made: Iterator[Delta]
        if request.n == 1 and isinstance(model, StreamingModel):
            made = model.stream(request)
        else:
            made = _at_once(model.generate([request])[0])
        done, pieces = None, 0
        try:
            for delta in made:
                done, pieces = delta.done, pieces + 1
                if done is not None and done.finish == "error":
                    raise _failure(model, request, done)
                if done is not None:
                    used(total_usage(done))
                yield delta
        finally:
            if pieces and done is None:
                used(Usage(model.count_tokens(request.messages, request.tools), pieces))
            close = getattr(made, "close", None)
            if close is not None:
                close()

    @property
    def embedder(self) -> Embedder:
        """What turns texts into vectors."""
        return _embedder(self.options.embedder or self.stage.current.embedder)

    @property
    def unfinished(self) -> list[RunEntry]:
        """Runs that nobody works on though they are not over, as after a crash."""
        return [run for run in self.log.runs(status="running") if not run.parent]

    def identify(self, written: str) -> Identity:
        """Who asks, by the key that was sent; "" for none.

        Raises:
            ApiError: 401, if keys are asked for and this is none.
        """
        if not self.asks_keys:
            return Identity("local", "admin")
        found = self.keys.who(written)
        if found is None:
            told = "This key is not known, or not any more." if written else "Send a key: Authorization: Bearer sk-sadari-..."
            raise ApiError(401, told, code="invalid_api_key")
        return found

    def used(self, identity: Identity, model: str, usage: Usage, money: float = 0.0) -> None:
        """Count what an answer took, for the metrics and for the day of the key.

        Args:
            money: What it cost, if whoever answered knows; else its tokens are priced.
        """
        self.metrics.used(model, usage)
        if identity.key:
            tokens = usage.prompt_tokens + usage.completion_tokens
            self.keys.spend(identity.key, Spent(tokens, 0, money or self._price(usage)))

    def _price(self, usage: Usage) -> float:
        prompt, completion = self.options.price_per_1k_prompt_tokens, self.options.price_per_1k_completion_tokens
        return (usage.prompt_tokens * prompt + usage.completion_tokens * completion) / 1000

    def close(self) -> None:
        """Let go of everything; what is under way ends where it can, and can be resumed."""
        if self.follower is not None:
            self.follower.close()
        self.workers.close()
        self.retention.close()
        if self.telemetry is not None:
            self.telemetry.close()
        self.stage.close()
        self._database.close()
        self.log.close()


def total_usage(done: Generation) -> Usage:
    """Tokens of all answers to one prompt."""
    written = done.usage.completion_tokens + sum(one.usage.completion_tokens for one in done.others)
    return Usage(done.usage.prompt_tokens, written)


def _at_once(generation: Generation) -> Iterator[Delta]:
    """A whole answer as a stream."""
    if not generation.others and generation.finish != "error":
        if generation.text:
            yield Delta(text=generation.text)
        for call in generation.tool_calls:
            yield Delta(tool_call=call)
    yield Delta(done=generation)


def _failure(model: Model, request: Request, generation: Generation) -> ApiError | ModelError:
    """Why there is no answer: a prompt that is too long is the client's to mend."""
    context = getattr(model, "context", None)
    length = model.count_tokens(request.messages, request.tools) if context else 0
    if context and length >= context:
        told = f"messages: {length} tokens, but the context of this model is {context}. Shorten them."
        return ApiError(400, told, code="context_length_exceeded", param="messages")
    if generation.usage == Usage() and context is not None:  # computed here, and refused before anything was
        return ApiError(400, generation.error or "The request is not taken.")
    return ModelError(generation.error or "no answer")


@lru_cache(maxsize=4)
def _embedder(name: str) -> Embedder:
    return load_embedder(name)


def open_service(system: System, options: ServeOptions) -> Service:
    """A system, loaded and ready to be served. Only then is the log opened, and made if there is none.

    Raises:
        ConfigError: If a setting is wrong, or keys are missing.
        ModelError: If the model cannot be loaded.
    """
    return serve_loaded(load_system(system, Models()), options)


def serve_loaded(loaded: Loaded, options: ServeOptions) -> Service:
    """A system that was loaded, on the log that the options name.

    Raises:
        ConfigError: If a setting is wrong, or keys are missing.
        RunError: If the log cannot be opened.
    """
    log = None
    try:
        log = Log(options.log)
        serving = loaded.on(log)
        told = (serving.loop, serving.model, options)
        return Service(*told, digest=loaded.digest, embedder=loaded.embedder, close=loaded.close, system=loaded.system)
    except BaseException:
        loaded.close()
        if log is not None:
            log.close()
        raise
