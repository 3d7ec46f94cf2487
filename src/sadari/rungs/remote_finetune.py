"""Fine-tuning by a service: rows leave this machine, so nothing is sent before the person has agreed to what, where and how dear.

Covered: `upload` is false until it is set; without it the rung writes what it would send into its folder, says so, and ends. The
price is estimated, and held against `max_cost`, before the first byte leaves.
Not covered: what the service does with the rows; rounding up, taxes and least charges in its bill.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, Field, StrictBool

from sadari.answer import Answerer
from sadari.errors import ConfigError, TrainingError
from sadari.model.remote import OPENAI_URL
from sadari.retrieve.chunk import SENTENCE
from sadari.rungs.conversations import conversations
from sadari.rungs.retrieval import grounded
from sadari.train.exchange import Address, Exchange
from sadari.train.managed import FinetuneService, Hyperparameters, OpenAIFinetune
from sadari.train.managed_order import TRAIN, VALIDATION, Asked, Clock, Limits, ManagedTuning, TunedElsewhere
from sadari.train.managed_rows import ChatRow, chat_lines, texts_of
from sadari.types import Built, Cost, Example, Retrieval, System, Workshop

SHOWN = Retrieval("documents", 1)
"""What is retrieved where the incumbent retrieves nothing, or single sentences, and the task has documents."""

FindPersonal = Callable[[str], Sequence[str]]
"""The kinds of personal data in a text."""


class RemoteFinetuneConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Settings of the remote fine-tuning rung."""

    upload: StrictBool = Field(False, description="Consent: training rows may be sent to the service. Without it nothing leaves.")
    upload_validation: StrictBool = Field(
        False, description="Consent: validation rows may be sent too, which gives a validation loss and changes nothing else."
    )
    max_cost: float | None = Field(
        None, gt=0, description="Most that the job may cost, in `money.currency`. Needed; the job is cancelled above it."
    )
    price_per_1k_tokens: float | None = Field(
        None, ge=0, description="The service's price of 1,000 trained tokens, in `money.currency`. Needed."
    )
    max_hours: float = Field(
        6.0,
        gt=0,
        le=336,
        description="Longest wait for the job, in hours; it is cancelled then. `budget.time` does not cut it short.",
    )
    model: str | None = Field(
        None, min_length=1, description="The model that is tuned there, by its name there; by default the one that answers so far."
    )
    base_url: str | None = Field(
        None, description="Address of the service, before `/fine_tuning/jobs`; by default the endpoint that answers so far."
    )
    n_epochs: int = Field(3, ge=1, le=50, description="Passes over the rows; each is paid.")
    learning_rate_multiplier: float | None = Field(
        None, gt=0, description="Times the service's own learning rate; null leaves it to the service."
    )
    batch_size: int | None = Field(None, ge=1, description="Rows per step; null leaves it to the service.")
    suffix: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Part of the tuned model's name.")
    seed: int | None = Field(None, ge=0, le=2**31 - 1, description="Seed of the job; by default the task's.")
    max_rows: int | None = Field(None, ge=1, description="Training rows sent at most, drawn with the task's seed.")
    row_tokens: int = Field(65536, ge=64, description="Longest row that the service learns whole, in tokens, about.")
    keep_files: bool = Field(False, description="Leave the uploaded files at the service once the job has ended.")


@dataclass(frozen=True, slots=True)
class _Offer:
    """What would be sent, and what would then answer."""

    system: System
    asked: Asked
    unreachable: int
    personal: str


class RemoteFinetuneRung:
    """Rows rendered exactly as they will be served are tuned by a service; the tuned model answers there.

    What tuning absorbs is not shown any more: few-shot examples, retrieved examples and the label list. Documents stay.

    Args:
        service: Who tunes; by default what `base_url` names, spoken to as to OpenAI.
        find_personal: Finds personal data in the rows; None says that nobody looked.
    """

    name = "remote_finetune"

    def __init__(
        self,
        config: RemoteFinetuneConfig,
        workshop: Workshop,
        *,
        service: FinetuneService | None = None,
        find_personal: FindPersonal | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config, self._workshop, self._find_personal = config, workshop, find_personal
        self._service, self._clock = service, clock or Clock()

    def ask(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> None:
        """Write what would be sent into `workdir`, and check that the person agreed to it. Nothing leaves this machine.

        Raises:
            ConfigError: If `upload`, `max_cost` or a price is missing; says what would be sent where, and what it would cost.
            BudgetError: If the estimated price is above `max_cost`.
            DataError: If rows cannot be learnt there, or are too few.
            TrainingError: If there are no rows to learn from.
        """
        self._checked(incumbent, train, validation, workdir)

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        """The incumbent, answered for by the model that the service tuned.

        Raises:
            BudgetError: As `ask`, or if the job passed `max_cost` or `max_hours` and was cancelled.
            ConfigError, DataError, TrainingError: As `ask`, or if the job failed.
            ModelError: If the service cannot be reached, or refuses.
        """
        offer, tuning = self._checked(incumbent, train, validation, workdir)
        if offer.personal:
            self._workshop.tell(f"rows that are sent hold {offer.personal}")
        done = tuning.tune(offer.asked)
        system = offer.system.with_(model=f"openai:{done.model}")
        return Built(system, Cost(money=done.money), done.curves, self._notes(offer, done, len(train)))

    # --- what would be sent ------------------------------------------------------------------------------------------------------

    def _checked(
        self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path
    ) -> tuple[_Offer, ManagedTuning]:
        config = self._config
        base_url = self._base_url(incumbent)
        service = self._service or OpenAIFinetune(Exchange(Address(base_url), sleep=self._clock.sleep))
        offer = self._offer(incumbent, train, validation, base_url)
        offer.asked.write(workdir)
        if not config.upload or config.max_cost is None or config.price_per_1k_tokens is None:
            raise ConfigError(self._question(offer, service.where, workdir))
        limits = Limits(config.max_cost, config.max_hours * 3600, config.price_per_1k_tokens)
        tuning = ManagedTuning(service, limits, workdir, self._clock, self._workshop.tell)
        tuning.check(offer.asked)
        return offer, tuning

    def _offer(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], base_url: str) -> _Offer:
        config, seed = self._config, self._workshop.seed
        used = conversations(train, config.max_rows, seed, called="row")
        base = self._base_model(incumbent)
        system = self._served(incumbent).with_(
            model=f"openai:{base}", adapter=None, base_url=None if base_url == OPENAI_URL else base_url
        )
        answerer = Answerer(system, self._workshop.load(system))
        rows = _chat_rows(used, answerer, "train")
        held_out = (
            _chat_rows(conversations(validation, None, seed, called="row"), answerer, "validation")
            if config.upload_validation
            else []
        )
        if not rows:
            raise TrainingError("the system could give the answer of no training row there, so there is nothing to learn.")
        hyperparameters = Hyperparameters(
            config.n_epochs,
            config.learning_rate_multiplier,
            config.batch_size,
            config.suffix,
            (seed if config.seed is None else config.seed) % 2**31,
        )
        lines = chat_lines(rows, config.row_tokens)
        asked = Asked(base, lines, chat_lines(held_out, config.row_tokens), hyperparameters, config.keep_files)
        return _Offer(system, asked, len(used) - len(rows), self._personal([*rows, *held_out]))

    def _base_model(self, incumbent: System) -> str:
        if self._config.model is not None:
            return self._config.model.removeprefix("openai:")
        if not incumbent.is_remote:
            raise ConfigError(
                f"remote_finetune: the system so far answers with {incumbent.model}, which no service can tune. Name a model that "
                "the service has: {remote_finetune: {model: NAME}}."
            )
        return incumbent.model.removeprefix("openai:")

    def _base_url(self, incumbent: System) -> str:
        here = incumbent.base_url if incumbent.is_remote else None
        return self._config.base_url or here or OPENAI_URL

    def _served(self, incumbent: System) -> System:
        """How the tuned system will be asked; a task with documents is always tuned with them."""
        retrieval = incumbent.retrieval if incumbent.retrieval and incumbent.retrieval.source == "documents" else None
        if retrieval is not None:
            # Single sentences, and when to abstain, were chosen for the untuned model.
            retrieval = SHOWN if retrieval.chunk_tokens == SENTENCE else replace(retrieval, min_score=0.0)
        elif self._workshop.documents is not None:
            incumbent, retrieval = grounded(incumbent, self._workshop, quote=0), SHOWN
        prompt = replace(incumbent.prompt, labels=(), shots=0, chain_of_thought=False)
        decoding = replace(incumbent.decoding, choices=self._workshop.labels)
        examples = incumbent.examples if incumbent.tools_shown else None
        return incumbent.with_(prompt=prompt, retrieval=retrieval, examples=examples, decoding=decoding)

    def _personal(self, rows: Sequence[ChatRow]) -> str:
        """Kinds of personal data and how many rows hold each; "" for none, and where nobody looked."""
        if self._find_personal is None:
            return ""
        found: Counter[str] = Counter()
        for row in rows:
            found.update({kind for text in texts_of(row) for kind in self._find_personal(text)})
        return ", ".join(f"{kind} in {count} rows" for kind, count in found.most_common())

    # --- what is said ------------------------------------------------------------------------------------------------------------

    def _question(self, offer: _Offer, where: str, workdir: Path) -> str:
        config, asked = self._config, offer.asked
        held_out = f" and {len(asked.validation)} validation rows ({VALIDATION} beside it)" if asked.validation else ""
        if self._find_personal is None:
            personal = "Nobody looked for personal data in them: `sadari check` does."
        elif offer.personal:
            personal = f"They hold personal data ({offer.personal}): `sadari data clean` masks it."
        else:
            personal = "No personal data was found in them."
        price = (
            "what that costs is not known without `price_per_1k_tokens`"
            if config.price_per_1k_tokens is None
            else f"about {asked.trained_tokens / 1000 * config.price_per_1k_tokens:,.2f} in `money.currency`"
        )
        given = {"price_per_1k_tokens": config.price_per_1k_tokens, "max_cost": config.max_cost}
        told = ", ".join(f"{name}: {'AMOUNT' if value is None else f'{value:g}'}" for name, value in given.items())
        return (
            f"remote_finetune would send {len(asked.train)} training rows{held_out}, about {asked.tokens:,} tokens, to {where}, to "
            f"tune `{asked.model}` there. {personal} {config.n_epochs} passes train on about {asked.trained_tokens:,} tokens: "
            f"{price}. Nothing was sent yet: look at {workdir / TRAIN}, which is what would be. To agree, write into the ladder "
            f"{{remote_finetune: {{upload: true, {told}}}}}; `max_cost` is the most that you would pay."
        )

    def _notes(self, offer: _Offer, done: TunedElsewhere, rows: int) -> tuple[str, ...]:
        asked, config = offer.asked, self._config
        sent = f"{len(asked.train)} of {rows} training rows and {len(asked.validation)} validation rows"
        how = "charged for" if done.is_charged else "estimated, the service told no number"
        notes = [
            f"{sent} were sent to {done.where}, with consent",
            f"{asked.model} tuned as {done.model} by job {done.job}, {config.n_epochs} passes",
            f"{done.tokens:,} tokens trained on ({how}; estimated before {asked.trained_tokens:,}), {done.money:,.2f}",
        ]
        if config.max_cost is not None and done.money > config.max_cost:
            notes.append(f"that is above max_cost {config.max_cost:,.2f}: the service told the tokens only when it was done")
        if offer.personal:
            notes.append(f"rows that were sent hold personal data: {offer.personal}")
        if offer.unreachable:
            notes.append(f"{offer.unreachable} rows were left out: the system could not give their answer there")
        if done.left:
            kept = "are kept" if config.keep_files else "could not be deleted"
            notes.append(f"uploaded files {kept} at the service: {', '.join(done.left)}")
        else:
            notes.append("uploaded files were deleted at the service")
        return tuple(notes)


def _chat_rows(examples: Sequence[Example], answerer: Answerer, split: str) -> list[ChatRow]:
    """The conversations as the system will be asked, with what it has to say; without those whose answer it could not give."""
    rows = []
    for example in examples:
        prepared = answerer.prepare(example, training=True)
        said = prepared.said(example.target.content, answerer.system.abstention)
        if said is not None:
            messages = (*prepared.request.messages, replace(example.target, content=said))
            rows.append(ChatRow(f"{example.id} ({split})", messages, prepared.request.tools))
    return rows
