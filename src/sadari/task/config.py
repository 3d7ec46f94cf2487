"""`sadari.yaml`: every option, declared once, with its default and what it means.

A misspelt key is an error that names the file, the line, the key and the nearest known one; all faults of a file are told at once.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sadari.errors import MOST_SHOWN, ConfigError, DataError
from sadari.task.files import read_text
from sadari.task.text import nfc_deep

TASK_FILE = "sadari.yaml"

DEFAULT_LADDER = ("prompt", "retrieval", "lora", "full")
IMPLEMENTED_RUNGS = (
    *("prompt", "retrieval", "prompt_tuning", "prefix", "ia3", "adapter", "lora", "qlora", "full"),
    *("pretrain", "dpo", "distil", "remote_finetune"),
)
PLANNED_RUNGS = ("quantize", "prune")

_PASSWORD = re.compile(r"://[^/@:]*:(?!\$\{)[^@]+@|[?&]\w*password=(?!\$\{)[^&]+", re.IGNORECASE)
"""What holds the password in an address, unless it is a variable."""
_FOR_ALL_SOURCES = ("bad_files", "access")

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(value: Any) -> Any:
    """Seconds from `90s`, `20m`, `2h`, `1h30m`, or a number of seconds."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip().lower().replace(" ", ""))
    if match is None or not any(match.groups()):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"`{value}` is no time. Write it as 90s, 20m, 2h, 1h30m, or as a number of seconds") from None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Money = Annotated[float, Field(ge=0)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class ExamplesConfig(_Options):
    """Where the examples are; paths are relative to the task file, and may hold `${NAME}` or `${NAME:-default}`."""

    train: str | None = Field(default=None, description="File of examples to learn from.")
    validation: str | None = Field(default=None, description="File to choose settings on; cut from train, by group, if not given.")
    test: str | None = Field(default=None, description="File that judges every rung; cut from train, by group, if not given.")
    audit: str | None = Field(
        default=None,
        description="File kept for one last look at the winner; cut from a test set of 400 or more if not given; `none` cuts none.",
    )
    all: str | None = Field(default=None, description="One file for everything; it is split by group with the task's seed.")

    @model_validator(mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return {"all": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_source(self) -> "ExamplesConfig":
        if self.all and (self.train or self.validation or self.test):
            raise ValueError("`all` is split into train, validation and test: give either it or those, not both")
        if not self.all and not self.train:
            raise ValueError("nothing to learn from: give `train: FILE` (and `test: FILE`), or one file for everything")
        return self


class ToolDeclaration(_Options):
    """A tool as declared in the task file: `calculator`, or `{sql: data/shop.db}`."""

    kind: str = Field(description="What kind of tool it is.")
    options: str | int | float | bool | list[Any] | dict[str, Any] | None = Field(
        default=None, description="What stands behind the kind."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return _named_entry(value, "kind", "a tool")


class RungSpec(_Options):
    """One rung of the ladder: `lora`, or `{lora: {rank: 16}}`; the options are checked by the rung itself."""

    name: str = Field(description="Name of the technique.")
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the technique; see each rung.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        entry = _named_entry(value, "name", "a rung")
        if isinstance(entry, dict) and entry.get("options") is None:
            entry = {**entry, "options": {}}
        return entry

    @model_validator(mode="after")
    def _is_implemented(self) -> "RungSpec":
        ready = f"Implemented are: {', '.join(IMPLEMENTED_RUNGS)}"
        if self.name == "baseline":
            raise ValueError("the baseline is always measured first: remove it from the ladder")
        if self.name in PLANNED_RUNGS:
            raise ValueError(f"`{self.name}` is planned but not implemented yet. {ready}")
        if self.name not in IMPLEMENTED_RUNGS:
            raise ValueError(f"`{self.name}` is no rung.{_did_you_mean(self.name, IMPLEMENTED_RUNGS)} {ready}")
        return self


class JudgeConfig(_Options):
    """A model that judges free answers by a rubric."""

    model: str = Field(min_length=1, description="The judge: `openai:NAME`, a folder, or a Hugging Face name.")
    base_url: str | None = Field(default=None, description="Address of an OpenAI-compatible endpoint, for `openai:NAME`.")
    rubric: str = Field(min_length=1, description="What a right answer is, in words, as the judge is told it.")
    labels: str | None = Field(
        default=None, description="File of answers that people judged; with 50 or more the judge is calibrated on them."
    )
    min_kappa: float = Field(
        default=0.6, ge=-1, le=1, description="Agreement with people (Cohen's kappa) below which the judge may decide nothing."
    )
    max_new_tokens: int = Field(
        default=64, ge=8, description="Longest reply of the judge, in tokens; a judge that thinks before it answers needs more."
    )


class ScoreConfig(_Options):
    """How an answer is judged."""

    by: Literal[
        "auto",
        "label",
        "number",
        "short_answer",
        "short_answer_f1",
        "text",
        "rouge",
        "json",
        "tool_call",
        "task",
        "sql",
        "facts",
        "judge",
    ] = Field(default="auto", description="The scorer; `auto` chooses by what the references are.")
    target: float | None = Field(
        default=None, gt=0, le=1, description="Mean score at which the climb stops; null climbs to the end."
    )
    min_gain: float = Field(
        default=0.0, ge=0, lt=1, description="Smallest gain in mean score that is worth a rung, if `money` does not tell."
    )
    rule: str = Field(default="", description="The rule of what counts as correct, in words, as printed in the report.")
    tolerance: float = Field(default=0.0, ge=0, description="For numbers: largest error, as a share of the reference.")
    json_schema: str | None = Field(default=None, description="For JSON: file of the JSON Schema that an answer must satisfy.")
    database: str | None = Field(
        default=None, description="For SQL: the SQLite file that is asked; `{group}` in it stands for the group of the row."
    )
    time_s: Seconds = Field(default=5.0, alias="time", description="For SQL: longest time of one query.")
    aliases: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="For short answers: other spellings of one thing, `{서울특별시: [서울, 서울시]}`."
    )
    judge: JudgeConfig | None = Field(default=None, description="For `by: judge`: the model that judges, and its rubric.")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "ScoreConfig":
        if self.by == "judge" and self.judge is None:
            raise ValueError("`by: judge` needs `judge: {model: ..., rubric: ...}`")
        if self.by == "sql" and self.database is None:
            raise ValueError("`by: sql` needs `database: FILE`, the SQLite file that answers are run on")
        return self


class MoneyConfig(_Options):
    """Prices and what an answer is worth; null is not priced. Amounts are in `currency`."""

    currency: str = Field(default="KRW", min_length=1, description="Name of the currency, as printed.")
    machine_hour: Money | None = Field(
        default=None, description="Price of an hour of this machine, without an accelerator; null is not priced."
    )
    gpu_hour: Money | None = Field(
        default=None, description="Price of an hour of a machine with an accelerator, the host included; null is not priced."
    )
    requests_per_month: Money | None = Field(default=None, description="Requests to be served per month.")
    value_per_correct: Money | None = Field(default=None, description="What one correct answer is worth.")
    wrong_answer_cost: Money | None = Field(default=None, description="What one wrong answer costs.")
    horizon_months: float = Field(default=12, gt=0, le=1200, description="Months over which building must pay back.")
    price_per_1k_prompt_tokens: Money | None = Field(default=None, description="Price of 1,000 prompt tokens of a remote model.")
    price_per_1k_completion_tokens: Money | None = Field(
        default=None, description="Price of 1,000 completion tokens of a remote model."
    )
    labelling_per_example: Money | None = Field(
        default=None, description="What it costs a person to write or judge one example; null is not priced."
    )
    hosting_per_month: Money | None = Field(
        default=None,
        description="Rent of one serving machine per month, used or idle; then requests cost no machine time of their own.",
    )
    hours_per_month: float | None = Field(
        default=None,
        gt=0,
        le=744,
        description="Hours a month that the serving machine is rented at its hour's price, used or idle (730 is always); "
        "null pays only the seconds that requests take.",
    )
    retrainings_per_year: Money | None = Field(
        default=None, description="How often a year the winner is built again; null is not priced."
    )

    @model_validator(mode="after")
    def _prices_tokens_in_pairs(self) -> "MoneyConfig":
        if (self.price_per_1k_prompt_tokens is None) != (self.price_per_1k_completion_tokens is None):
            raise ValueError(
                "prompt and completion tokens are priced together: give both `price_per_1k_prompt_tokens` and "
                "`price_per_1k_completion_tokens` (0 for one that is free)"
            )
        return self


class BudgetConfig(_Options):
    """What one climb may use."""

    time_s: Seconds | None = Field(default=None, alias="time", description="Wall time of the climb: 90s, 20m, 2h, or seconds.")
    cost: Money | None = Field(default=None, description="Money, in `money.currency`.")


class LeaksConfig(_Options):
    """What happens when a test question also stands in train: `stop`, `drop_train`, or these settings one by one."""

    exact: Literal["stop", "drop_train"] = Field(
        default="stop", description="The same question and context: stop, or drop the train row."
    )
    near: Literal["warn", "stop", "drop_train"] = Field(
        default="warn", description="Near duplicates: note them, stop, or drop the train row."
    )
    near_threshold: float = Field(
        default=0.9, gt=0, le=1, description="Least similarity of near duplicates (Jaccard of 5-character pieces)."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_policy(cls, value: Any) -> Any:
        return {"exact": value} if isinstance(value, str) else value


class SourceConfig(_Options):
    """One source of documents: a `path`, a `url`, or a `sql` database with a `table` or a `query`."""

    path: str | None = Field(
        default=None, min_length=1, description="Folder, file, archive or pattern; Markdown, PDF, Office and more."
    )
    url: str | None = Field(default=None, min_length=1, description="Address of one page or file, https only.")
    hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that may be asked for `url`, redirects included; its own alone if not given."
    )
    sql: str | None = Field(
        default=None,
        min_length=1,
        description="Address of a database, as in sqlite:///shop.db or postgresql+psycopg://reader:${PASSWORD}@host/shop.",
    )
    table: str | None = Field(default=None, min_length=1, description="For `sql`: the table that is read.")
    query: str | None = Field(default=None, min_length=1, description="For `sql`: the SELECT that is read, in place of a table.")
    name: str = Field(default="", description="For `sql`: how ids of its documents begin; the name of the table if not given.")
    key: str = Field(
        default="",
        description="For `sql`: column that tells rows apart, each of which is a document; without it all are one table.",
    )
    title: str = Field(default="", description="For `sql`: column with the title of a row.")
    date: str = Field(default="", description="For `sql`: column with the day that a row was last changed.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        scheme = value.partition("://")[0].lower() if "://" in value else ""
        return {"url" if scheme in ("http", "https") else "sql" if scheme else "path": value}

    @model_validator(mode="after")
    def _is_one_source(self) -> "SourceConfig":
        kinds = [kind for kind in ("path", "url", "sql") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError("a source is one of `path`, `url` and `sql`" + (f", not {' and '.join(kinds)}" if kinds else ""))
        if self.hosts and self.url is None:
            raise ValueError("`hosts` goes with `url: https://...`")
        if self.url is not None:
            self._check_url(self.url)
        if self.sql is None:
            stray = [name for name in ("table", "query", "name", "key", "title", "date") if getattr(self, name)]
            if stray:
                raise ValueError(f"`{stray[0]}` goes with `sql: sqlite:///FILE.db`")
        else:
            self._check_sql(self.sql)
        return self

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Hosts that may be asked for `url`."""
        return self.hosts or ((_host_of(self.url),) if self.url else ())

    def _check_url(self, url: str) -> None:
        host = _host_of(url)
        if not host:
            raise ValueError("`url` must be a plain https address, as in https://docs.example.com/faq.html")
        if host not in [name.lower() for name in self.allowed_hosts]:
            guess = _did_you_mean(host, self.hosts)
            raise ValueError(f"the host `{host}` is not in `hosts` ({', '.join(self.hosts)}).{guess} Add it if you trust it")

    def _check_sql(self, sql: str) -> None:
        if (self.table is None) == (self.query is None):
            raise ValueError("`sql` needs either `table: NAME` or `query: SELECT ...`")
        if self.query is not None and not self.name:
            raise ValueError("`query` needs `name: ...`, with which the ids of its documents begin")
        if "://" not in sql and not sql.startswith("${"):
            raise ValueError(f"`{sql}` is no address of a database. Write sqlite:///{sql}, or postgresql+psycopg://HOST/DATABASE")
        if _PASSWORD.search(sql):
            raise ValueError(
                "`sql` holds a password, which every run would copy. Write ${NAME} in its place, and set that variable"
            )


class DocumentsConfig(_Options):
    """What answers are looked up in: one source, a list of them, or `sources` with what holds for all."""

    sources: tuple[SourceConfig, ...] = Field(description="Folders, files, addresses and databases.")
    bad_files: Literal["stop", "skip"] = Field(
        default="stop", description="A file that cannot be read: stop, or go on without it and say so."
    )
    access: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Labels by pattern of file names; who holds none of a file's labels never sees it."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        """A source alone and a list of sources mean `sources`."""
        if isinstance(value, str):
            return {"sources": [value]}
        if isinstance(value, list | tuple):
            return {"sources": value}
        if isinstance(value, dict) and "sources" not in value:
            for_all = {name: value[name] for name in _FOR_ALL_SOURCES if name in value}
            return {"sources": [{name: given for name, given in value.items() if name not in for_all}], **for_all}
        if isinstance(value, dict) and isinstance(value["sources"], str | dict):
            return {**value, "sources": [value["sources"]]}
        return value

    @model_validator(mode="after")
    def _names_something(self) -> "DocumentsConfig":
        if not self.sources:
            raise ValueError("names no source. Give a folder, or leave `documents` out")
        return self


class TaskConfig(_Options):
    """A task, as written in `sadari.yaml`; only `goal` and `examples` are needed."""

    goal: str = Field(min_length=1, description="What the system should do, in words; it is told to the model.")
    examples: ExamplesConfig = Field(description="Files of examples, or one file that is split.")
    model: str = Field(
        default="mini", min_length=1, description="`mini`, a Hugging Face name or folder, or `openai:NAME` with base_url."
    )
    base_url: str | None = Field(default=None, description="Address of an OpenAI-compatible endpoint, for `openai:NAME`.")
    language: Literal["ko", "en"] | None = Field(
        default=None, description="Language of the answers; found from the goal if not given."
    )
    documents: DocumentsConfig | None = Field(
        default=None, description="Folders, addresses and databases that answers are looked up in."
    )
    tools: tuple[ToolDeclaration, ...] = Field(
        default=(), description="Tools: names such as calculator, or entries such as {sql: data/shop.db}."
    )
    agent: dict[str, Any] = Field(
        default_factory=dict,
        description="How a system with tools acts: limits, policy, judge, filters, memory; see the page on agents.",
    )
    labels: tuple[str, ...] | None = Field(default=None, description="Labels of a label task; found from train if not given.")
    score: ScoreConfig = Field(default_factory=ScoreConfig, description="How an answer is judged.")
    money: MoneyConfig = Field(default_factory=MoneyConfig, description="Prices, and what an answer is worth.")
    budget: BudgetConfig = Field(default_factory=BudgetConfig, description="What one climb may use.")
    references: tuple[str, ...] = Field(
        default=(), description="Models measured beside the ladder and never taken: `openai:NAME` or folders, for comparison."
    )
    seeds: int = Field(default=1, ge=1, le=10, description="How often each training rung is trained, with other seeds.")
    ladder: tuple[RungSpec, ...] = Field(
        default_factory=lambda: tuple(RungSpec(name=name) for name in DEFAULT_LADDER),
        description="Rungs in the order they are climbed; the baseline is always measured first.",
    )
    leaks: LeaksConfig = Field(default_factory=LeaksConfig, description="When a test question stands in train: stop or drop_train.")
    seed: int = Field(default=0, ge=0, description="Seed of every split and search.")

    @model_validator(mode="after")
    def _fits_together(self) -> "TaskConfig":
        if not self.goal.strip():
            raise ValueError("`goal` is empty. Say in one sentence what the system should do")
        if self.base_url is not None and not any(name.startswith("openai:") for name in (self.model, *self.references)):
            raise ValueError(f"`base_url` needs a remote model, but model is `{self.model}`. Write `model: openai:NAME`")
        if self.labels is not None and len(set(self.labels)) < max(2, len(self.labels)):
            raise ValueError("`labels` needs at least two labels, each listed once")
        names = [rung.name for rung in self.ladder]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`ladder` lists {', '.join(twice)} twice. Each rung stands once")
        return self

    @property
    def answer_language(self) -> Literal["ko", "en"]:
        """`language`, or "ko" if the goal holds Hangul, else "en"."""
        if self.language is not None:
            return self.language
        return "ko" if re.search(r"[가-힣]", self.goal) else "en"


def _host_of(url: str) -> str:
    """The host of a plain https address, without a user or a port of its own; "" if it is none."""
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
    except ValueError:
        return ""
    return (parts.hostname or "").lower() if is_plain else ""


def _named_entry(value: Any, key: str, what: str) -> Any:
    """`name` or `{name: options}` as `{key: name, "options": options}`."""
    if isinstance(value, str):
        return {key: value}
    if isinstance(value, dict) and key in value and set(value) <= {key, "options"}:
        return value
    if isinstance(value, dict) and len(value) == 1:
        name, options = next(iter(value.items()))
        return {key: str(name), "options": options}
    raise ValueError(f"{what} is a name or one `name: options`, but this is {value!r}. Start a new list item for each")


# --- reading ---------------------------------------------------------------------------------------------------------------


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> TaskConfig:
    """The options of a task file.

    Args:
        path: The task's folder, or the YAML file itself.
        overrides: Options that replace those of the file, by dotted name: `{"budget.time": "2m", "seed": 3}`.

    Raises:
        ConfigError: With a line for every fault.
    """
    file = task_file(path)
    try:
        text = read_text(file, file.name)
    except DataError as error:
        raise ConfigError(str(error)) from error
    raw, lines = _parse_yaml(text, file.name)
    for name, value in (overrides or {}).items():
        _set_option(raw, name.split("."), value)
    try:
        return TaskConfig.model_validate(nfc_deep(raw))
    except ValidationError as error:
        faults = list(dict.fromkeys(_fault_line(detail, file.name, lines, overrides or {}) for detail in error.errors()))
        more = [f"... and {len(faults) - MOST_SHOWN} more problems of this kind."] if len(faults) > MOST_SHOWN else []
        raise ConfigError("\n".join(faults[:MOST_SHOWN] + more)) from error


def task_file(path: Path) -> Path:
    """The YAML file of a task, given it or its folder."""
    if path.is_dir():
        file = path / TASK_FILE
        if not file.is_file():
            others = sorted(p.name for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
            hint = f" It holds {others[0]}: rename it, or name that file." if others else " Make one with `sadari init`."
            raise ConfigError(f"{path}: this folder has no {TASK_FILE}.{hint}")
        return file
    if not path.exists():
        raise ConfigError(f"{path}: no such folder or task file. Make one with `sadari init {path}`.")
    return path


_Lines = dict[tuple[str | int, ...], int]


def _parse_yaml(text: str, shown: str) -> tuple[dict[str, Any], _Lines]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        hint = (
            " Indent with spaces, not tabs." if "\\t" in str(error.problem) else " A value that holds `: ` or `#` is put in quotes."
        )
        raise ConfigError(f"{shown}{line}: not YAML ({error.problem}).{hint}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{shown}: not YAML ({error}). Keep to plain text.") from error
    if not isinstance(raw, dict):
        found = "is empty" if raw is None else "is not a list of `key: value` lines"
        raise ConfigError(f"{shown}: {found}. At least `goal:` and `examples:` are needed.")
    lines: _Lines = {}
    twice = [f"{shown} line {line}: {key}: stands twice. Keep one." for key, line in _walk(node, (), lines)]
    if twice:
        raise ConfigError("\n".join(twice))
    return raw, lines


def _walk(node: Any, path: tuple[str | int, ...], lines: _Lines) -> Iterator[tuple[str, int]]:
    """Note the line of every option in `lines`; yield the keys that stand twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                yield ".".join(map(str, here)), key.start_mark.line + 1
            lines[here] = key.start_mark.line + 1
            yield from _walk(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            lines[(*path, at)] = item.start_mark.line + 1
            yield from _walk(item, (*path, at), lines)


def _set_option(raw: dict[str, Any], names: Sequence[str], value: Any) -> None:
    for name in names[:-1]:
        inner = raw.get(name)
        if isinstance(inner, str) and name in ("examples", "leaks"):
            inner = {"all" if name == "examples" else "exact": inner}
        raw[name] = dict(inner) if isinstance(inner, dict) else {}
        raw = raw[name]
    raw[names[-1]] = value


# --- telling what is wrong ---------------------------------------------------------------------------------------------------


def _fault_line(detail: Any, shown: str, lines: _Lines, overrides: Mapping[str, Any]) -> str:
    path = _as_written(tuple(detail["loc"]), lines)
    name = ".".join(map(str, path))
    known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in lines), ())
    is_override = any(name == option or name.startswith(f"{option}.") for option in overrides)
    where = "option" if is_override else f"{shown} line {lines[known]}" if known else shown
    return f"{where}: {name}: {_fault(detail)}" if name else f"{where}: {_fault(detail)}"


def _as_written(path: tuple[str | int, ...], lines: _Lines) -> tuple[str | int, ...]:
    """The path of an option in the file, where one source or a list of sources stands for `documents.sources`."""
    if path[:2] != ("documents", "sources") or path[:2] in lines:
        return path
    return ("documents", *path[2 if ("documents", 0) in lines else 3 :])


def _fault(detail: Any) -> str:
    kind, path, value = detail["type"], tuple(detail["loc"]), detail["input"]
    if kind == "extra_forbidden":
        options = _option_names(path[:-1])
        return "is no known option." + (_did_you_mean(str(path[-1]), options) or f" Known here: {', '.join(options)}.")
    if kind == "missing":
        return "is missing. Add it."
    if kind == "value_error":
        return f"{detail['ctx']['error']}."
    if kind == "literal_error":
        return f"is {value!r}. Use one of {detail['ctx']['expected']}.{_did_you_mean(str(value), _literals(detail))}"
    if kind == "string_type" and isinstance(value, bool):
        return f"YAML reads this as {str(value).lower()}. Put it in quotes."
    if kind == "string_type":
        return f"must be text, but is {_shown(value)}. Put it in quotes."
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, but is {_shown(value)}."


def _shown(value: Any) -> str:
    return _PASSWORD.sub("...", repr(value))


def _literals(detail: Any) -> list[str]:
    return re.findall(r"'([^']+)'", detail["ctx"]["expected"])


def _option_names(path: Sequence[str | int]) -> list[str]:
    """Names of the options that may stand under `path`."""
    model: type[BaseModel] = TaskConfig
    for name in path:
        if isinstance(name, int):
            continue
        field = next((f for key, f in model.model_fields.items() if name in (key, f.alias)), None)
        inner = next(_models(field.annotation), None) if field else None
        if inner is None:
            break
        model = inner
    beside = _FOR_ALL_SOURCES if model is SourceConfig else ()
    return [*(field.alias or key for key, field in model.model_fields.items()), *beside]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple, list):
        for inner in get_args(annotation):
            yield from _models(inner)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""
