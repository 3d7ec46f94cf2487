"""Tuning at a service: files are uploaded, a job is started and looked at until it ends, over the HTTP shape of OpenAI.

Another service is added in one of two ways. One that differs only in paths, headers, limits or the body that starts a job is a
`Dialect` of `OpenAIFinetune`. One that works otherwise is a class with the methods of `FinetuneService`: what waits, pays and
continues after a crash (`managed_order`) knows nothing else.

Covered: what `exchange` covers; a file or a job is never sent a second time before it was looked for.
Not covered: what the service does with the rows, and how long it keeps what it says it deleted.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from sadari.errors import DataError, ModelError
from sadari.train.exchange import Call, Exchange, MaybeTakenError, RefusedError

T = TypeVar("T")

Stage = Literal["waiting", "succeeded", "failed", "cancelled"]

MARK = "sadari"
"""The key of a job's metadata under which its order is named."""

_ENDS: dict[str, Stage] = {
    **dict.fromkeys(("succeeded", "completed", "success"), "succeeded"),
    **dict.fromkeys(("failed", "error", "expired"), "failed"),
    **dict.fromkeys(("cancelled", "canceled", "deleted"), "cancelled"),
}
_BAD_FILE = frozenset({400, 413, 415, 422})
_LOOKS_S = (2.0, 5.0, 15.0)
"""Pauses before looking whether something whose sending broke off has arrived after all."""
_MOST_LISTED = 1000
_PAGE = 100
_NAME = re.compile(r"[\w.:/@+~-]{1,300}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How the service is asked to train; None leaves a setting to it."""

    epochs: int = 3
    learning_rate_multiplier: float | None = None
    batch_size: int | None = None
    suffix: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TuningOrder:
    """One job as it is ordered.

    Args:
        key: Names this order and no other; the job carries it, so that it is found again.
        model: The model to tune, as the service calls it.
        training_file, validation_file: Ids of uploaded files.
    """

    key: str
    model: str
    training_file: str
    validation_file: str | None = None
    hyperparameters: Hyperparameters = Hyperparameters()


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A job as the service last told it.

    Args:
        model: The tuned model, once it succeeded; "" before.
        tokens: Tokens that are charged, epochs counted; None if the service does not say (yet).
        problem: Why it failed.
        blamed: What the service names as the cause, such as "training_file".
    """

    id: str
    stage: Stage
    model: str = ""
    tokens: int | None = None
    problem: str = ""
    blamed: str = ""


@dataclass(frozen=True, slots=True)
class TuningEvent:
    """Something that a job told; losses are in nats per token, None where the event holds none."""

    id: str
    message: str
    step: int | None = None
    training_loss: float | None = None
    validation_loss: float | None = None


class FinetuneService(Protocol):
    """A service that tunes models.

    Every method may be called again after a crash: `upload` and `start` give what is there already, under the same name or the
    same `TuningOrder.key`, and `delete_file` and `cancel` of what is gone or has ended are no errors.
    """

    @property
    def where(self) -> str:
        """Where the rows go, as a person who has to agree is told it: no keys."""
        ...

    @property
    def least_rows(self) -> int:
        """Fewer training rows are refused."""
        ...

    @property
    def most_bytes(self) -> int:
        """A larger file is refused."""
        ...

    def upload(self, name: str, path: Path) -> str:
        """The id of the uploaded JSONL file."""
        ...

    def start(self, order: TuningOrder) -> TuningJob:
        """The job of this order."""
        ...

    def look(self, job: str) -> TuningJob:
        """How the job with this id stands."""
        ...

    def events(self, job: str, most: int) -> list[TuningEvent]:
        """The last events of the job, at most `most`, oldest first."""
        ...

    def cancel(self, job: str) -> TuningJob:
        """Ask the job to end; how it stands then."""
        ...

    def delete_file(self, file: str) -> None:
        """Delete an uploaded file."""
        ...


def openai_body(order: TuningOrder) -> dict[str, Any]:
    """The JSON that starts a supervised job at OpenAI."""
    asked = order.hyperparameters
    hyperparameters: dict[str, Any] = {"n_epochs": asked.epochs}
    if asked.learning_rate_multiplier is not None:
        hyperparameters["learning_rate_multiplier"] = asked.learning_rate_multiplier
    if asked.batch_size is not None:
        hyperparameters["batch_size"] = asked.batch_size
    body: dict[str, Any] = {
        "model": order.model,
        "training_file": order.training_file,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "metadata": {MARK: order.key},
    }
    more = {"validation_file": order.validation_file, "suffix": asked.suffix, "seed": asked.seed}
    return body | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where services of OpenAI's shape differ from each other; the defaults are OpenAI's own.

    Args:
        files, jobs: Paths after the base URL.
        least_rows: Training rows below which a file is refused.
        most_bytes: Largest file.
        body: Writes the JSON that starts a job.
    """

    files: str = "/files"
    jobs: str = "/fine_tuning/jobs"
    least_rows: int = 10
    most_bytes: int = 512 * 2**20
    body: Callable[[TuningOrder], dict[str, Any]] = field(default=openai_body)


class OpenAIFinetune:
    """The files and fine-tuning jobs of an OpenAI-compatible service.

    Args:
        exchange: Sends to the service; its base URL ends before `/fine_tuning/jobs`.

    Source:
        https://platform.openai.com/docs/api-reference/fine-tuning and /files.
    """

    def __init__(self, exchange: Exchange, dialect: Dialect | None = None) -> None:
        self._exchange, self._dialect = exchange, dialect or Dialect()

    def __repr__(self) -> str:
        return f"OpenAIFinetune({self.where!r})"

    @property
    def where(self) -> str:
        """The base URL, without its query."""
        return self._exchange.where

    @property
    def least_rows(self) -> int:
        """Fewer training rows are refused."""
        return self._dialect.least_rows

    @property
    def most_bytes(self) -> int:
        """A larger file is refused."""
        return self._dialect.most_bytes

    def upload(self, name: str, path: Path) -> str:
        """The id of the file called `name`, uploaded from `path` unless it is there.

        Raises:
            DataError: If the service refuses the file.
            ModelError: If the service cannot be reached, refuses the key, or answers something else.
        """

        def send() -> str:
            try:
                return self._file(self._exchange.send(Call("POST", self._dialect.files, file=(name, path))))
            except RefusedError as refused:
                if refused.status in _BAD_FILE:
                    raise DataError(f"{path} was refused: {refused}") from None
                raise

        return self._once(lambda: self._find_file(name), send, f"{path.name} was uploaded")

    def start(self, order: TuningOrder) -> TuningJob:
        """The job of this order, started unless it is there.

        Raises:
            ModelError: If the service refuses the job, cannot be reached, or answers something else.
        """

        def send() -> TuningJob:
            body = self._dialect.body(order)
            return self._job(self._exchange.send(Call("POST", self._dialect.jobs, body=body, once=f"{MARK}-{order.key}")))

        return self._once(lambda: self._find_job(order), send, "the job was started")

    def look(self, job: str) -> TuningJob:
        """How the job with this id stands."""
        return self._job(self._exchange.send(Call("GET", self._path(job))))

    def events(self, job: str, most: int) -> list[TuningEvent]:
        """The last events of the job, at most `most`, oldest first."""
        newest = list(self._listed(self._path(job) + "/events", {}, most))
        return [self._event(event) for event in reversed(newest)]

    def cancel(self, job: str) -> TuningJob:
        """Ask the job to end; how it stands then, which may be that it had ended before."""
        try:
            return self._job(self._exchange.send(Call("POST", self._path(job) + "/cancel")))
        except RefusedError:
            return self.look(job)

    def delete_file(self, file: str) -> None:
        """Delete an uploaded file; one that is gone is as good."""
        try:
            self._exchange.send(Call("DELETE", f"{self._dialect.files}/{quote(file, safe='')}"))
        except RefusedError as error:
            if error.status != 404:
                raise

    def _path(self, job: str) -> str:
        return f"{self._dialect.jobs}/{quote(job, safe='')}"

    # --- what is there already ---------------------------------------------------------------------------------------------------

    def _once(self, find: Callable[[], T | None], send: Callable[[], T], what: str) -> T:
        """What `find` finds, else what `send` makes. Sending is not repeated where it may have taken effect: it costs money."""
        found = find()
        if found is not None:
            return found
        try:
            return send()
        except MaybeTakenError as unknown:
            problem = str(unknown)
        for pause_s in _LOOKS_S:
            self._exchange.sleep(pause_s)
            found = find()
            if found is not None:
                return found
        raise ModelError(
            f"{problem} Whether {what} is not known, and it is not listed yet. Run the same command again in a minute: it looks "
            "first, before anything is sent a second time."
        )

    def _find_file(self, name: str) -> str | None:
        listed = self._listed(self._dialect.files, {"purpose": "fine-tune"}, _MOST_LISTED)
        return next((self._file(item) for item in listed if item.get("filename") == name), None)

    def _find_job(self, order: TuningOrder) -> TuningJob | None:
        """A job that carries the order's key, or that learns from its file: the file belongs to this order alone."""
        for item in self._listed(self._dialect.jobs, {f"metadata[{MARK}]": order.key}, _MOST_LISTED):
            metadata = item.get("metadata")
            is_marked = isinstance(metadata, dict) and metadata.get(MARK) == order.key
            if is_marked or item.get("training_file") == order.training_file:
                return self._job(item)
        return None

    def _listed(self, path: str, query: Mapping[str, str], most: int) -> Iterator[dict[str, Any]]:
        """The entries of a list, as the service orders them (newest first), at most `most`, in as many pages as that takes."""
        after = ""
        for start in range(0, most, _PAGE):
            page = {"limit": str(min(_PAGE, most - start))} | ({"after": after} if after else {})
            data = self._exchange.send(Call("GET", path, dict(query) | page))
            items = data.get("data")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self._exchange.malformed("list", data)
            yield from items[: most - start]
            last = str(items[-1].get("id") or "") if items else ""
            if data.get("has_more") is not True or not last or last == after:
                return
            after = last

    # --- reading answers ---------------------------------------------------------------------------------------------------------

    def _file(self, data: Mapping[str, Any]) -> str:
        if data.get("status") == "error":
            why = self._exchange.clean(data.get("status_details") or "no reason was given")
            raise DataError(f"{self.where} refused the uploaded file: {why}. Mend the rows that it names.")
        return self._name_of(data, "id", "uploaded file")

    def _job(self, data: Mapping[str, Any]) -> TuningJob:
        status = data.get("status")
        if not isinstance(status, str):
            raise self._exchange.malformed("fine-tuning job", data)
        stage = _ENDS.get(status.lower(), "waiting")
        tokens = _finite(data.get("trained_tokens"))
        error = data.get("error")
        said = error if isinstance(error, dict) else {"message": error}
        return TuningJob(
            self._name_of(data, "id", "fine-tuning job"),
            stage,
            model=self._name_of(data, "fine_tuned_model", "finished fine-tuning job") if stage == "succeeded" else "",
            tokens=None if tokens is None else max(0, int(tokens)),
            problem=self._exchange.clean(
                said.get("message") or ("" if stage != "failed" else f"status {status}, no reason was given")
            ),
            blamed=self._exchange.clean(said.get("param") or ""),
        )

    def _event(self, data: Mapping[str, Any]) -> TuningEvent:
        told = data.get("data")
        told = told if isinstance(told, dict) else {}
        step = told.get("step")
        validation = _finite(told.get("full_valid_loss"))
        return TuningEvent(
            str(data.get("id") or "")[:300],
            self._exchange.clean(data.get("message") or ""),
            step if isinstance(step, int) else None,
            _finite(told.get("train_loss")),
            validation if validation is not None else _finite(told.get("valid_loss")),
        )

    def _name_of(self, data: Mapping[str, Any], field: str, what: str) -> str:
        """An id or a model's name: it goes into addresses and into the system that is served, so it may not be just any text."""
        value = data.get(field)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self._exchange.malformed(what, data)
        return value


def _finite(value: Any) -> float | None:
    """A number of an answer, None for anything else; a number of more digits than any count or loss has is no number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and -1e15 < value < 1e15 else None
