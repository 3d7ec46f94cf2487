"""One tuning job elsewhere, from upload to tuned model, that is paid once whatever happens in between.

Each step is written to `order.json` before the next begins: a process that was killed continues where it was, and what it had
sent is found again by the order's key. The job is cancelled when it passes the limits of money or time.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from sadari.errors import BudgetError, DataError, ModelError, RunError, SadariError, TrainingError
from sadari.files import kept, read_json, to_json, write_text
from sadari.train.managed import FinetuneService, Hyperparameters, TuningEvent, TuningJob, TuningOrder
from sadari.train.managed_rows import estimated_tokens
from sadari.types import Curve

ORDER = "order.json"
TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
POLL_S = 20.0
"""Seconds between two looks at a job."""
SETTLE_S = 10.0
"""A job that was perhaps started just before a crash is listed by then."""
MOST_EVENTS = 5000
"""Of a job, read at its end for the loss curves."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, in seconds since 1970, and how to wait."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may take.

    Args:
        money: In `money.currency`.
        seconds: Of wall time, from the upload on.
        price_per_1k: Money for 1,000 trained tokens.
    """

    money: float
    seconds: float
    price_per_1k: float

    def price(self, tokens: float) -> float:
        """What training on so many tokens costs, epochs counted."""
        return tokens / 1000 * self.price_per_1k


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be learnt, and by which model there.

    Args:
        train, validation: Lines of JSONL; no validation, no second file.
        keeps_files: Leave the uploaded files there at the end.
    """

    model: str
    train: Sequence[str]
    validation: Sequence[str] = ()
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    keeps_files: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of one pass over the training lines, estimated."""
        return sum(estimated_tokens(line) for line in self.train)

    @property
    def trained_tokens(self) -> int:
        """Tokens that will be charged, estimated: those of all passes."""
        return self.tokens * self.hyperparameters.epochs

    def write(self, folder: Path) -> None:
        """Write the lines as the files that are uploaded."""
        write_text(folder / TRAIN, "".join(line + "\n" for line in self.train))
        if self.validation:
            write_text(folder / VALIDATION, "".join(line + "\n" for line in self.validation))

    def digest(self, where: str) -> str:
        """A hash of everything that makes another order of this."""
        plain = [where, self.model, asdict(self.hyperparameters), list(self.train), list(self.validation)]
        return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TunedElsewhere:
    """What came of an order.

    Args:
        where: The service.
        model: The tuned model's name there.
        tokens: Trained on; charged by the service, or estimated where it does not say.
        money: Their price.
        is_charged: Whether `tokens` is what the service says.
        left: Uploaded files that are still there.
    """

    where: str
    model: str
    job: str
    tokens: int
    money: float
    is_charged: bool
    curves: tuple[Curve, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    """How far an order has come."""

    key: str
    digest: str
    where: str
    began: float
    training_file: str = ""
    validation_file: str = ""
    is_starting: bool = False
    job: TuningJob | None = None
    over: str = ""
    events: tuple[TuningEvent, ...] = ()
    left: tuple[str, ...] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """What was uploaded."""
        return tuple(filter(None, (self.training_file, self.validation_file)))


class ManagedTuning:
    """Orders tuning from a service.

    Args:
        folder: Where the order is recorded, and the uploaded files are written.
        tell: Takes a line of progress.
    """

    def __init__(self, service: FinetuneService, limits: Limits, folder: Path, clock: Clock, tell: Callable[[str], None]) -> None:
        self._service, self._limits, self._folder, self._clock, self._tell = service, limits, folder, clock, tell

    def check(self, asked: Asked) -> None:
        """Check what can be checked before anything leaves this machine.

        Raises:
            BudgetError: If the estimated price is above the limit.
            DataError: If the rows are too few or too many for the service.
        """
        price, limit = self._limits.price(asked.trained_tokens), self._limits.money
        if price > limit:
            raise BudgetError(
                f"tuning `{asked.model}` on {len(asked.train)} rows, about {asked.tokens:,} tokens, {asked.hyperparameters.epochs} "
                f"times would cost about {price:,.2f}, above `max_cost` {limit:,.2f}. Lower `max_rows` or `n_epochs`, or raise "
                "`max_cost`. Nothing was uploaded."
            )
        if len(asked.train) < self._service.least_rows:
            raise DataError(
                f"{len(asked.train)} training rows are fewer than the {self._service.least_rows} that {self._service.where} takes. "
                "Add rows, or tune on this machine."
            )
        for name, lines in ((TRAIN, asked.train), (VALIDATION, asked.validation)):
            size = sum(len(line.encode()) + 1 for line in lines)
            if size > self._service.most_bytes:
                raise DataError(
                    f"{self._folder / name} would be {size / 2**20:.0f} MiB, more than the {self._service.most_bytes / 2**20:.0f} "
                    "that the service takes. Lower `max_rows`."
                )

    def tune(self, asked: Asked) -> TunedElsewhere:
        """Upload, start, wait, clear up. Called again after a crash, it goes on with the same job.

        Raises:
            BudgetError: If the estimated price is above the limit, or the job passed a limit and was cancelled.
            DataError: If the service refuses the rows.
            ModelError: If the service cannot be reached or refuses.
            RunError: If the folder holds another order.
            TrainingError: If the job failed or was cancelled there.
        """
        self.check(asked)
        record = self._uploaded(self._record(asked), asked)
        record = self._started(record, asked)
        record = self._waited(record)
        record = self._cleared(record, asked.keeps_files)
        return self._outcome(record, asked)

    # --- the steps ---------------------------------------------------------------------------------------------------------------

    def _record(self, asked: Asked) -> _Record:
        path, where = self._folder / ORDER, self._service.where
        digest = asked.digest(where)
        make = partial(_Record, secrets.token_hex(8), digest, where, self._clock.now())
        record = kept(path, _Record, make)
        if record.digest != digest:
            raise RunError(
                f"{path} is of another order: the rows, the model, the service or the hyperparameters have changed since. "
                "If its job is of no use any more, delete this file and run again: that orders, and pays, anew."
            )
        return record

    def _uploaded(self, record: _Record, asked: Asked) -> _Record:
        if not record.training_file:
            asked.write(self._folder)
            self._tell(f"uploading {len(asked.train)} training rows to {record.where}")
            record = self._kept(record, training_file=self._upload(record, TRAIN))
        if asked.validation and not record.validation_file:
            self._tell(f"uploading {len(asked.validation)} validation rows to {record.where}")
            record = self._kept(record, validation_file=self._upload(record, VALIDATION))
        return record

    def _upload(self, record: _Record, name: str) -> str:
        return self._service.upload(f"sadari-{record.key}-{name}", self._folder / name)

    def _started(self, record: _Record, asked: Asked) -> _Record:
        if record.job is not None:
            return record
        if record.is_starting:
            self._clock.sleep(SETTLE_S)
        record = self._kept(record, is_starting=True)
        validation = record.validation_file or None
        order = TuningOrder(record.key, asked.model, record.training_file, validation, asked.hyperparameters)
        job = self._service.start(order)
        self._tell(f"job {job.id} is ordered at {record.where}; it goes on there if this ends, and the same command waits for it")
        return self._kept(record, job=job)

    def _waited(self, record: _Record) -> _Record:
        """The job, ended; or cancelled, where it passed a limit."""
        told: set[str] = set()
        while record.job is not None and record.job.stage == "waiting":
            job = self._looked(record.job)
            over = self._passed_limit(record, job) if job.stage == "waiting" else ""
            if over:
                record = self._kept(record, job=self._cancelled(record, job, over), over=over)
                break
            if job.stage != "waiting":
                record = self._kept(record, job=job)
                break
            self._tell_news(job, told)
            self._clock.sleep(POLL_S)
        return record

    def _looked(self, job: TuningJob) -> TuningJob:
        try:
            return self._service.look(job.id)
        except ModelError as error:
            raise ModelError(f"{error} The job {job.id} goes on there: the same command waits for it again.") from None

    def _passed_limit(self, record: _Record, job: TuningJob) -> str:
        waited_s = self._clock.now() - record.began
        if waited_s > self._limits.seconds:
            return f"has taken {waited_s / 3600:.1f} hours, above `max_hours` {self._limits.seconds / 3600:g}"
        money = self._limits.price(job.tokens or 0)
        if money > self._limits.money:
            return f"costs {money:,.2f} for {job.tokens:,} tokens, above `max_cost` {self._limits.money:,.2f}"
        return ""

    def _cancelled(self, record: _Record, job: TuningJob, over: str) -> TuningJob:
        """The job once it was told to end; it may have ended well before."""
        try:
            return self._service.cancel(job.id)
        except ModelError as error:
            raise BudgetError(
                f"the job {job.id} at {record.where} {over}, and cancelling it failed: {error} It may still cost: cancel it "
                "there by hand, or run the same command again."
            ) from None

    def _cleared(self, record: _Record, keeps_files: bool) -> _Record:
        """Losses are read, and files deleted, once a job has ended, well or not: nobody needs them there any more."""
        if record.left is None:
            record = self._kept(record, events=self._all_events(record), left=record.files)
        if keeps_files or not record.left:
            return record
        return self._kept(record, left=tuple(file for file in record.left or () if not self._delete(file)))

    def _delete(self, file: str) -> bool:
        try:
            self._service.delete_file(file)
        except ModelError as error:
            self._tell(f"{file} could not be deleted: {error}")
            return False
        return True

    def _outcome(self, record: _Record, asked: Asked) -> TunedElsewhere:
        job = record.job
        assert job is not None
        if job.stage != "succeeded":
            raise self._failure(record, job)
        tokens = asked.trained_tokens if job.tokens is None else job.tokens
        return TunedElsewhere(
            record.where,
            job.model,
            job.id,
            tokens,
            self._limits.price(tokens),
            is_charged=job.tokens is not None,
            curves=_curves(record.events),
            left=record.left or (),
        )

    def _failure(self, record: _Record, job: TuningJob) -> SadariError:
        spent = f" It trained on {job.tokens:,} tokens, {self._limits.price(job.tokens):,.2f}." if job.tokens else ""
        again = f"To order, and pay, anew delete {self._folder / ORDER}."
        who = f"the job {job.id} at {record.where}"
        if record.over:
            return BudgetError(f"{who} {record.over}, and was cancelled.{spent} Raise the limit, or ask for less. {again}")
        why = f": {job.problem}" if job.problem else "."
        if job.stage == "cancelled":
            return TrainingError(f"{who} was cancelled there{why}{spent} {again}")
        for name, cause in ((TRAIN, "training_file"), (VALIDATION, "validation_file")):
            if job.blamed == cause:
                return DataError(f"{self._folder / name}: {who} cannot learn from it{why} Mend the rows. {again}")
        return TrainingError(f"{who} failed{why}{spent} {again}")

    # --- what the job tells ------------------------------------------------------------------------------------------------------

    def _tell_news(self, job: TuningJob, told: set[str]) -> None:
        """What the job told since the last look; news that cannot be had stops nothing."""
        try:
            events = self._service.events(job.id, 50)
        except ModelError:
            return
        for event in events:
            if event.message and event.id not in told:
                told.add(event.id)
                self._tell(f"{job.id}: {event.message}")

    def _all_events(self, record: _Record) -> tuple[TuningEvent, ...]:
        assert record.job is not None
        try:
            return tuple(e for e in self._service.events(record.job.id, MOST_EVENTS) if e.step is not None)
        except ModelError as error:
            self._tell(f"the losses of {record.job.id} cannot be had: {error}")
            return ()

    def _kept(self, record: _Record, **changes: object) -> _Record:
        path = self._folder / ORDER
        write_text(path, to_json(replace(record, **changes), _Record))  # type: ignore[arg-type]
        return read_json(path, _Record)


def _curves(events: Sequence[TuningEvent]) -> tuple[Curve, ...]:
    training = {e.step: e.training_loss for e in events if e.step is not None and e.training_loss is not None}
    validation = {e.step: e.validation_loss for e in events if e.step is not None and e.validation_loss is not None}
    named = (("training loss", training), ("validation loss", validation))
    return tuple(Curve(name, tuple(sorted(points.items()))) for name, points in named if points)
