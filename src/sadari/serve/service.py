"""What is served: an agent and its model, opened once, with the log and the keys."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property

from sadari.agent.approval import pending
from sadari.agent.log import Log, RunEntry
from sadari.agent.log.database import open_database
from sadari.agent.loop import Loop
from sadari.errors import ConfigError, ModelError
from sadari.retrieve.embed import BUNDLED, Embedder, load_embedder
from sadari.serve.asking import Desk
from sadari.serve.faults import ApiError, missing
from sadari.serve.keys import Identity, Keys
from sadari.serve.metrics import Metrics
from sadari.serve.options import ServeOptions
from sadari.serve.questions import Questions
from sadari.serve.rates import Rates
from sadari.serve.work import Workers
from sadari.types import Delta, Generation, Model, Request, StreamingModel, System, Usage

RAW = "-raw"
"""What the name of the raw model ends with."""


class Service:
    """One agent for many clients.

    Args:
        loop: Who answers under the name of the service, on the log that the options name.
        model: Who answers as the raw model.
        options: How.
        four_eyes: Whether nobody may approve what was asked for in his own name.
        embedder: Name of the embedder, if the options name none.
        close: Lets go of what the agent's tools hold.

    Raises:
        ConfigError: If keys are asked for and there are none, or the address needs them.
    """

    def __init__(
        self,
        loop: Loop,
        model: Model,
        options: ServeOptions,
        *,
        four_eyes: bool = False,
        embedder: str = BUNDLED,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.log, self.model, self.options, self.four_eyes = loop.log, model, options, four_eyes
        self._embedder, self._close = options.embedder or embedder, close
        self._database = open_database(options.log)
        self.keys = Keys(self._database)
        self.asks_keys = bool(self.keys.all()) if options.keys is None else options.keys
        self._check_keys()
        self.desk = Desk(loop, Questions(self._database))
        self.workers = Workers(options.at_once, options.waiting, options.wait_s)
        self.rates = Rates(options)
        self.metrics = Metrics(lambda: self.workers.running, lambda: len(pending(self.log, datetime.now().astimezone())))
        self._add_adapters()

    def _check_keys(self) -> None:
        if not self.asks_keys and not self.options.is_local:
            raise ConfigError(
                f"{self.options.host} can be reached by others, so keys are needed. Make one: sadari serve keys add NAME."
            )
        if self.asks_keys and not self.keys.all():
            raise ConfigError("keys are asked for, but there are none. Make one: sadari serve keys add NAME.")

    def _add_adapters(self) -> None:
        add = getattr(self.model, "add_adapter", None)
        if self.options.adapters and add is None:
            raise ConfigError(f"adapters: {self.model.name} takes none. Only local models do.")
        for name, folder in self.options.adapters.items():
            assert add is not None
            add(name, folder)

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

    def generate(self, request: Request) -> Iterator[Delta]:
        """What the raw model makes of a request, piece by piece, the whole last.

        Raises:
            ApiError: If it makes nothing of it.
        """
        made: Iterator[Delta]
        if request.n == 1 and isinstance(self.model, StreamingModel):
            made = self.model.stream(request)
        else:
            made = _at_once(self.model.generate([request])[0])
        try:
            for delta in made:
                if delta.done is not None and delta.done.finish == "error":
                    raise self._failure(request, delta.done)
                yield delta
        finally:
            close = getattr(made, "close", None)
            if close is not None:
                close()

    def _failure(self, request: Request, generation: Generation) -> ApiError | ModelError:
        """Why there is no answer: a prompt that is too long is the client's to mend."""
        context = getattr(self.model, "context", None)
        length = self.model.count_tokens(request.messages, request.tools) if context else 0
        if context and length >= context:
            told = f"messages: {length} tokens, but the context of this model is {context}. Shorten them."
            return ApiError(400, told, code="context_length_exceeded", param="messages")
        if generation.usage == Usage() and context is not None:  # computed here, and refused before anything was
            return ApiError(400, generation.error or "The request is not taken.")
        return ModelError(generation.error or "no answer")

    @cached_property
    def embedder(self) -> Embedder:
        """What turns texts into vectors."""
        return load_embedder(self._embedder)

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

    def close(self) -> None:
        """Let go of everything; what is under way ends where it can, and can be resumed."""
        self.workers.close()
        self._close()
        self._database.close()
        self.log.close()


def _at_once(generation: Generation) -> Iterator[Delta]:
    """A whole answer as a stream."""
    if not generation.others and generation.finish != "error":
        if generation.text:
            yield Delta(text=generation.text)
        for call in generation.tool_calls:
            yield Delta(tool_call=call)
    yield Delta(done=generation)


def open_service(system: System, options: ServeOptions) -> Service:
    """A system, loaded and ready to be served.

    Raises:
        ConfigError: If a setting is wrong, or keys are missing.
        ModelError: If the model cannot be loaded.
    """
    from sadari.run import open_engine  # and with it all that trains and measures

    engine, log = open_engine(), Log(options.log)
    embedder = (system.retrieval.embedder if system.retrieval is not None else "") or BUNDLED
    try:
        acting = engine.acting(system)
        loop, four_eyes = Loop(acting.on(log), log), acting.box.agent.four_eyes
        model = engine.model(system)
        return Service(loop, model, options, four_eyes=four_eyes, embedder=embedder, close=engine.close)
    except BaseException:
        engine.close()
        log.close()
        raise
