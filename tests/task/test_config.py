from pathlib import Path

import pytest

from sadari.errors import ConfigError
from sadari.task import TaskConfig, load_config, parse_duration

LEAST = "goal: 답한다\nexamples: {train: a.jsonl, test: b.jsonl}\n"


def config_of(tmp_path: Path, more: str = "", **overrides: object) -> TaskConfig:
    (tmp_path / "sadari.yaml").write_text(LEAST + more)
    return load_config(tmp_path, {name.replace("__", "."): value for name, value in overrides.items()})


def problems_of(tmp_path: Path, text: str) -> str:
    (tmp_path / "sadari.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    return str(caught.value)


def test_goal_and_examples_are_enough(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert (config.model, config.answer_language, config.seed, config.leaks.exact) == ("mini", "ko", 0, "stop")
    assert tuple(rung.name for rung in config.ladder) == ("prompt", "retrieval", "lora", "full")
    assert (config.money.currency, config.money.machine_hour, config.money.horizon_months) == ("KRW", None, 12)
    assert (config.score.by, config.score.target, config.score.min_gain) == ("auto", None, 0)


def test_short_forms_are_understood(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "tools: [calculator, {sql: data/shop.db}]\nladder: [prompt, {lora: {rank: 4}}, full: ]\n"
        "leaks: drop_train\nbudget: {time: 20m, cost: 5}\n",
    )
    assert [(tool.kind, tool.options) for tool in config.tools] == [("calculator", None), ("sql", "data/shop.db")]
    assert [(rung.name, rung.options) for rung in config.ladder] == [("prompt", {}), ("lora", {"rank": 4}), ("full", {})]
    assert (config.leaks.exact, config.budget.time_s, config.budget.cost) == ("drop_train", 1200, 5)


def test_one_path_for_examples_means_all(tmp_path: Path) -> None:
    (tmp_path / "sadari.yaml").write_text("goal: Sort\nexamples: all.csv\n")
    config = load_config(tmp_path / "sadari.yaml")
    assert (config.examples.all, config.answer_language) == ("all.csv", "en")


def test_a_config_survives_being_written_and_read(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "tools: [{python: tools.py}]\nladder: [{lora: {rank: 4}}]\nbudget: {time: 90s}\nleaks: {near: stop}\n"
    )
    assert TaskConfig.model_validate_json(config.model_dump_json()) == config
    assert TaskConfig.model_validate(config.model_dump(by_alias=True)) == config


def test_overrides_replace_options_by_dotted_name(tmp_path: Path) -> None:
    config = config_of(tmp_path, "budget: {cost: 5}\n", budget__time="2m", seed=3)
    assert (config.budget.time_s, config.budget.cost, config.seed) == (120, 5, 3)
    with pytest.raises(ConfigError, match=r"option: budget\.time: `soon` is no time"):
        config_of(tmp_path, budget__time="soon")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("2h", 7200), ("1h30m", 5400), ("45", 45), (7, 7), ("1.5h", 5400)]
)
def test_times_are_read_with_their_units(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("modle: mini\n", "sadari.yaml line 3: modle: is no known option. Did you mean `model`?"),
        ("money:\n  curency: KRW\n", "sadari.yaml line 4: money.curency: is no known option. Did you mean `currency`?"),
        ("budget: {tine: 3}\n", "budget.tine: is no known option. Did you mean `time`?"),
        ("budget: {time: later}\n", "budget.time: `later` is no time. Write it as 90s, 20m, 2h"),
        ("score: {by: labels}\n", "Did you mean `label`?"),
        ("score: {target: 90}\n", "score.target: input should be less than or equal to 1, but is 90"),
        ("ladder: [lorra]\n", "ladder.0: `lorra` is no rung. Did you mean `lora`? Implemented are: prompt, retrieval"),
        ("ladder: [prune]\n", "`prune` is planned but not implemented yet. Implemented are: prompt"),
        ("ladder: [baseline]\n", "the baseline is always measured first: remove it"),
        ("ladder: [lora, lora]\n", "`ladder` lists lora twice"),
        ("ladder: [{lora: {rank: 1}, full: }]\n", "Start a new list item for each"),
        ("labels: [yes, no]\n", "labels.0: YAML reads this as true. Put it in quotes."),
        ("labels: [a]\n", "needs at least two labels"),
        ("base_url: http://localhost:1\n", "Write `model: openai:NAME`"),
        ("leaks: ignore\n", "leaks.exact: is 'ignore'. Use one of 'stop' or 'drop_train'"),
        ("seed: 1\nseed: 2\n", "sadari.yaml line 4: seed: stands twice"),
        ("model: [\n", "not YAML"),
        ("\tmodel: x\n", "not YAML"),
        ("money: {gpu_hour: -1}\n", "money.gpu_hour: input should be greater than or equal to 0"),
        ("money: {gpu_hour: .nan}\n", "money.gpu_hour: input should be a finite number"),
    ],
)
def test_a_fault_names_file_line_key_and_remedy(tmp_path: Path, more: str, message: str) -> None:
    assert message in problems_of(tmp_path, LEAST + more)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    lines = problems_of(tmp_path, "gaol: x\nexamples: {}\nseed: -1\n").split("\n")
    assert len(lines) == 4
    assert any("goal: is missing" in line for line in lines)
    assert any("examples: nothing to learn from" in line for line in lines)


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("- a\n", "is not a list of `key: value` lines")])
def test_a_file_without_options_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    assert message in problems_of(tmp_path, text)


def test_a_folder_without_a_task_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Make one with `sadari init`"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="no such folder or task file"):
        load_config(tmp_path / "none")


def test_every_option_is_described() -> None:
    def described(model: type) -> bool:
        return all(field.description for field in model.model_fields.values())  # type: ignore[attr-defined]

    from sadari.task import BudgetConfig, ExamplesConfig, LeaksConfig, MoneyConfig, RungSpec, ScoreConfig, ToolDeclaration

    models = (TaskConfig, BudgetConfig, ExamplesConfig, LeaksConfig, MoneyConfig, RungSpec, ScoreConfig, ToolDeclaration)
    assert all(described(model) for model in models)


def test_documents_have_short_forms(tmp_path: Path) -> None:
    shop = "{sql: 'sqlite:///shop.db', table: products}"
    for short, long in [
        ("docs", [{"path": "docs"}]),
        ("https://a.kr/faq", [{"url": "https://a.kr/faq"}]),
        (shop, [{"sql": "sqlite:///shop.db", "table": "products"}]),
        (f"[docs, {shop}]", [{"path": "docs"}, {"sql": "sqlite:///shop.db", "table": "products"}]),
    ]:
        config = config_of(tmp_path, f"documents: {short}\n").documents
        assert config is not None
        assert [source.model_dump(exclude_defaults=True) for source in config.sources] == long
    config = config_of(tmp_path, "documents: {path: docs, bad_files: skip, access: {'hr/*': [hr]}}\n")
    assert config.documents is not None
    assert [source.path for source in config.documents.sources] == ["docs"]
    assert (config.documents.bad_files, config.documents.access) == ("skip", {"hr/*": ("hr",)})
    assert TaskConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("\n  ulr: https://a.kr", "sadari.yaml line 4: documents.ulr: is no known option. Did you mean `url`?"),
        ("\n  path: a\n  acess: {}", "sadari.yaml line 5: documents.acess: is no known option. Did you mean `access`?"),
        ("\n- docs\n- {tabel: x}", "sadari.yaml line 5: documents.1.tabel: is no known option. Did you mean `table`?"),
        ("{url: 'https://b.kr/x', hosts: [b.co.kr]}", "the host `b.kr` is not in `hosts` (b.co.kr). Did you mean `b.co.kr`?"),
        ("{url: 'http://b.kr/x'}", "documents: `url` must be a plain https address"),
        ("{url: 'https://u:hunter2@b.kr/x'}", "documents: `url` must be a plain https address"),
        ("{path: a, url: 'https://a.kr'}", "a source is one of `path`, `url` and `sql`, not path and url"),
        ("{path: a, hosts: [a.kr]}", "`hosts` goes with `url: https://...`"),
        ("{path: a, table: t}", "`table` goes with `sql: sqlite:///FILE.db`"),
        ("{sql: 'sqlite:///a.db'}", "`sql` needs either `table: NAME` or `query: SELECT ...`"),
        ("{sql: 'sqlite:///a.db', query: SELECT 1}", "`query` needs `name: ...`"),
        ("{sql: a.db, table: t}", "`a.db` is no address of a database. Write sqlite:///a.db"),
        ("{sql: 'postgresql://u:hunter2@h/d', table: t}", "holds a password, which every run would copy. Write ${NAME}"),
        ("{sql: 'mysql://h/d?password=hunter2', table: t}", "holds a password, which every run would copy. Write ${NAME}"),
        ("[['postgresql://u:hunter2@h/d']]", "input should be a valid dictionary"),
        ("[]", "documents: names no source"),
        ("{sources: {path: a}, bad_files: skp}", "Did you mean `skip`?"),
    ],
)
def test_wrong_documents_are_told_once_and_without_secrets(tmp_path: Path, documents: str, message: str) -> None:
    told = problems_of(tmp_path, f"{LEAST}documents: {documents}\n")
    assert message in told
    assert "hunter2" not in told
    assert len(told.splitlines()) == 1
