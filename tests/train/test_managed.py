"""Tuning at a service, against a local double of OpenAI's files and fine-tuning jobs."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import BudgetError, ConfigError, DataError, ModelError, RunError, TrainingError
from sadari.train.exchange import MOST_BYTES, Address, Exchange
from sadari.train.managed import Dialect, Hyperparameters, OpenAIFinetune, TuningJob, TuningOrder, openai_body
from sadari.train.managed_order import ORDER, TRAIN, VALIDATION, Asked, Clock, Limits, ManagedTuning
from sadari.train.managed_rows import ChatRow, chat_lines, estimated_tokens
from sadari.types import Curve, Message, ToolCall, ToolSpec
from tuning_service import TuningService, running

KEY = "sk-secret-0123456789"
LINE = '{"messages": [{"role": "user", "content": "가"}, {"role": "assistant", "content": "나", "weight": 1}]}'
ASKED = Asked("tiny", (LINE,) * 12, hyperparameters=Hyperparameters(2, 1.5, 4, "mall", 7))


@dataclass
class Time:
    """A clock that only waiting moves."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningService]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(TuningService()) as service:
        yield service


def client(double: TuningService, time: Time | None = None, **settings: Any) -> OpenAIFinetune:
    return OpenAIFinetune(Exchange(Address(double.url), **{"retries": 2, "sleep": (time or Time()).sleep} | settings))


def tuning(
    double: TuningService, folder: Path, time: Time | None = None, told: list[str] | None = None, **limits: Any
) -> ManagedTuning:
    time = time or Time()
    taken = Limits(**{"money": 100.0, "seconds": 360.0, "price_per_1k": 10.0} | limits)
    return ManagedTuning(client(double, time), taken, folder, time.clock, (told if told is not None else []).append)


# --- rows -----------------------------------------------------------------------------------------------------------------------


def row(*messages: Message, tools: tuple[ToolSpec, ...] = ()) -> ChatRow:
    return ChatRow("r7", messages, tools)


def test_a_row_is_written_as_openai_reads_it() -> None:
    call = ToolCall("lookup", {"order": "가1"})
    line = chat_lines(
        [
            row(
                Message("system", "친절하게", weight=0.0),
                Message("user", "어디?"),
                Message("assistant", "", tool_calls=(call,), weight=0.0),
                Message("tool", "배송 중"),
                Message("assistant", "오는 중입니다."),
                tools=(ToolSpec("lookup", "Find.", {"type": "object"}),),
            )
        ],
        1000,
    )[0]
    assert json.loads(line) == {
        "messages": [
            {"role": "system", "content": "친절하게"},
            {"role": "user", "content": "어디?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"type": "function", "id": "call_2_0", "function": {"name": "lookup", "arguments": '{"order": "가1"}'}}
                ],
                "weight": 0,
            },
            {"role": "tool", "content": "배송 중", "tool_call_id": "call_2_0"},
            {"role": "assistant", "content": "오는 중입니다.", "weight": 1},
        ],
        "tools": [{"type": "function", "function": {"name": "lookup", "description": "Find.", "parameters": {"type": "object"}}}],
    }
    assert "오는 중입니다." in line, "Hangul is not escaped: an escaped syllable is twice as long"


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (
            (Message("user", "q"), Message("assistant", "a", weight=0.5)),
            r"row r7: turn 2 \(assistant\) has the weight 0.5.*0 and 1 alone",
        ),
        ((Message("user", "q", weight=1.0), Message("assistant", "a")), r"turn 1 \(user\) has the weight 1.*assistant turns alone"),
        ((Message("user", "q"), Message("assistant", "a", weight=0.0)), "row r7: no assistant turn has a weight above 0"),
        ((Message("user", "q"), Message("assistant", " ")), r"turn 2 \(assistant\) is empty"),
        ((Message("user", "q" * 4000), Message("assistant", "a")), "row r7: about 13[0-9][0-9] tokens, more than the 1000"),
    ],
)
def test_a_row_that_cannot_be_learnt_there_is_named(messages: tuple[Message, ...], told: str) -> None:
    with pytest.raises(DataError, match=told):
        chat_lines([row(*messages)], 1000)


def test_all_bad_rows_are_named_at_once() -> None:
    bad = [ChatRow(f"r{i}", (Message("user", "q"), Message("assistant", "a", weight=0.3))) for i in range(3)]
    with pytest.raises(DataError) as caught:
        chat_lines(bad, 1000)
    assert [p.split(":")[0] for p in caught.value.problems] == ["row r0", "row r1", "row r2"]


def test_a_token_is_taken_for_three_bytes() -> None:
    assert [estimated_tokens(text) for text in ("가나다", "abc", "abcd")] == [3, 1, 2]


# --- the client -----------------------------------------------------------------------------------------------------------------


def test_an_order_is_written_as_openai_reads_it() -> None:
    order = TuningOrder("k1", "gpt-x", "file-1", "file-2", Hyperparameters(4, 0.5, 8, "mall", 3))
    assert openai_body(order) == {
        "model": "gpt-x",
        "training_file": "file-1",
        "validation_file": "file-2",
        "method": {
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 4, "learning_rate_multiplier": 0.5, "batch_size": 8}},
        },
        "metadata": {"sadari": "k1"},
        "suffix": "mall",
        "seed": 3,
    }
    plain = openai_body(TuningOrder("k", "m", "f"))
    assert set(plain) == {"model", "training_file", "method", "metadata"}
    assert plain["method"]["supervised"]["hyperparameters"] == {"n_epochs": 3}


def test_a_file_arrives_whole_and_once(double: TuningService, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes("가나\n다\n".encode())
    service = client(double)
    assert service.upload("a.jsonl", tmp_path / "t.jsonl") == "file-1"
    assert service.upload("a.jsonl", tmp_path / "t.jsonl") == "file-1"
    assert double.files == {"file-1": ("a.jsonl", "가나\n다\n".encode())}
    assert double.seen[1].headers["Authorization"] == f"Bearer {KEY}"


def test_a_job_of_the_same_key_is_started_once(double: TuningService) -> None:
    service, order = client(double), TuningOrder("k1", "tiny", "file-1")
    assert service.start(order) == service.start(order) == TuningJob("ftjob-1", "waiting")
    assert service.start(TuningOrder("k2", "tiny", "file-2")).id == "ftjob-2"
    assert double.count("POST", "/v1/fine_tuning/jobs") == 2


def test_a_job_is_found_on_a_later_page_and_where_metadata_is_not_kept(double: TuningService) -> None:
    for i in range(250):
        double.jobs[f"old-{i}"] = {"id": f"old-{i}", "status": "failed", "training_file": f"file-{i}"}
    assert client(double).start(TuningOrder("k1", "tiny", "file-3")).id == "old-3"
    assert double.count("POST", "/v1/fine_tuning/jobs") == 0
    assert double.count("GET", "/v1/fine_tuning/jobs") == 3


@pytest.mark.parametrize("broken", ["drop", (504, {}), (500, {})])
def test_an_order_whose_answer_was_lost_is_looked_for_and_not_sent_again(double: TuningService, broken: Any) -> None:
    double.faults["POST /fine_tuning/jobs"] = [broken]
    if broken == "drop":  # it took effect
        assert client(double).start(TuningOrder("k1", "tiny", "file-1")).id == "ftjob-1"
    else:
        with pytest.raises(ModelError, match="Whether the job was started is not known"):
            client(double).start(TuningOrder("k1", "tiny", "file-1"))
    assert double.count("POST", "/v1/fine_tuning/jobs") == 1
    assert [s.headers["Idempotency-Key"] for s in double.seen if s.method == "POST"] == ["sadari-k1"]


def test_an_upload_whose_answer_was_lost_is_looked_for_and_not_sent_again(double: TuningService, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("x\n")
    double.faults["POST /files"] = ["drop"]
    assert client(double).upload("a.jsonl", tmp_path / "t.jsonl") == "file-1"
    assert double.count("POST", "/v1/files") == 1


def test_a_refusal_that_passes_is_waited_for(double: TuningService) -> None:
    time = Time()
    busy = (429, {"headers": {"Retry-After": "7"}, "body": "{}"})
    double.faults["POST /fine_tuning/jobs"] = [busy, (503, {})]
    assert client(double, time).start(TuningOrder("k1", "tiny", "file-1")).id == "ftjob-1"
    assert time.pauses[0] == 7.0
    assert 0.5 <= time.pauses[1] <= 1.0


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (401, {"message": f"Incorrect API key provided: {KEY}"}, "HTTP 401: the key in OPENAI_API_KEY was refused"),
        (403, {"message": "no"}, "HTTP 403: the key in OPENAI_API_KEY may not do this here"),
        (404, {"message": "model `tiny` does not exist"}, "HTTP 404: the service does not know this path, file, job or model"),
        (429, {"code": "insufficient_quota", "message": "over"}, r"HTTP 429: the account's credit or quota is used up.*\(over\)"),
        (400, {"message": "invalid n_epochs"}, r"HTTP 400: the request was refused \(invalid n_epochs\)"),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_key(double: TuningService, status: int, error: dict[str, str], told: str) -> None:
    double.faults["POST /fine_tuning/jobs"] = [(status, {"error": error})]
    with pytest.raises(ModelError, match=told) as caught:
        client(double).start(TuningOrder("k1", "tiny", "file-1"))
    assert KEY not in str(caught.value)
    assert double.count("POST", "/v1/fine_tuning/jobs") == 1


@pytest.mark.parametrize("error", ["broken", ["x"], {"error": None}, {"error": {"message": {"a": 1}}}, "\x1b[2J" + "x" * 5000])
def test_a_refusal_in_another_form_is_told_short_and_on_one_line(double: TuningService, error: Any) -> None:
    double.faults[r"GET /fine_tuning/jobs/.*"] = [(400, error)]
    with pytest.raises(ModelError, match="HTTP 400") as caught:
        client(double).look("j")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        "<html>",
        "[]",
        '{"id": "j"}',
        '{"id": "j", "status": 3}',
        '{"status": "running"}',
        '{"id": "../files", "status": "succeeded"}',
        '{"id": "j", "status": "succeeded"}',
        '{"id": "j", "status": "succeeded", "fine_tuned_model": "a b"}',
        "[" * 100_000,
    ],
)
def test_an_answer_in_another_form_is_an_error(double: TuningService, answer: str) -> None:
    double.faults[r"GET /fine_tuning/jobs/.*"] = [(200, answer)]
    with pytest.raises(ModelError, match=r"the answer is no .*Check that base_url"):
        client(double).look("j")


@pytest.mark.parametrize("tokens", ["1e400", "9" * 400, '"7"', "true", "null"])
def test_a_count_that_is_none_is_not_taken_for_one(double: TuningService, tokens: str) -> None:
    double.faults[r"GET /fine_tuning/jobs/.*"] = [(200, f'{{"id": "j", "status": "running", "trained_tokens": {tokens}}}')]
    assert client(double).look("j").tokens is None


def test_a_list_that_never_ends_is_left(double: TuningService) -> None:
    double.faults["GET /fine_tuning/jobs"] = [(200, {"data": [{"id": f"j{i}"}], "has_more": True}) for i in range(2000)]
    client(double).start(TuningOrder("k", "tiny", "f"))
    assert double.count("GET", "/v1/fine_tuning/jobs") == 10

    double.faults["GET /fine_tuning/jobs"] = [(200, {"data": [{"id": "same"}], "has_more": True})] * 2000
    client(double).start(TuningOrder("k2", "tiny", "f2"))
    assert double.count("GET", "/v1/fine_tuning/jobs") == 12, "a page that repeats the last one is the end"


def test_a_boundless_answer_is_not_read(double: TuningService) -> None:
    double.faults[r"GET /fine_tuning/jobs/.*"] = [(200, "x" * (MOST_BYTES + 1))]
    with pytest.raises(ModelError, match="longer than 8 MiB"):
        client(double).look("j")


def test_a_service_that_is_not_there_is_an_error() -> None:
    exchange = Exchange(Address("http://127.0.0.1:9/v1"), retries=1, sleep=Time().sleep)
    with pytest.raises(ModelError, match=r"the connection failed \(ConnectError\)\. Asked 2 times"):
        OpenAIFinetune(exchange).start(TuningOrder("k", "tiny", "f"))


def test_a_missing_key_and_a_broken_one_are_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        OpenAIFinetune(Exchange(Address())).look("j")
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    with pytest.raises(ModelError, match="holds characters that no key has") as caught:
        OpenAIFinetune(Exchange(Address())).look("j")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host/v1", "host/v1", "https://user:pw@host/v1"])
def test_an_address_has_to_be_http_without_credentials(url: str) -> None:
    with pytest.raises(ConfigError):
        Exchange(Address(url))


def test_a_refused_file_is_the_datas_fault_and_a_refused_key_is_not(double: TuningService, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("x\n")
    double.faults["POST /files"] = [(400, {"error": {"message": "line 3 is no JSON"}}), (401, {}), None]
    with pytest.raises(DataError, match=r"t\.jsonl was refused: .*line 3 is no JSON"):
        client(double).upload("a", tmp_path / "t.jsonl")
    with pytest.raises(ModelError, match="OPENAI_API_KEY was refused"):
        client(double).upload("a", tmp_path / "t.jsonl")


def test_a_file_that_was_found_bad_after_its_upload_is_told(double: TuningService, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("x\n")
    double.faults["POST /files"] = [(200, {"id": "f", "status": "error", "status_details": "row 2 has no messages"})]
    with pytest.raises(DataError, match="refused the uploaded file: row 2 has no messages"):
        client(double).upload("a", tmp_path / "t.jsonl")


def test_a_file_that_is_gone_needs_no_deleting(double: TuningService) -> None:
    double.faults["DELETE /files/x"] = [(404, {})]
    client(double).delete_file("x")
    double.faults["DELETE /files/x"] = [(403, {})]
    with pytest.raises(ModelError, match="403"):
        client(double).delete_file("x")


def test_another_service_of_that_shape_is_a_dialect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one with its key in a header of its own, a version in the query, other paths and a flat order."""
    monkeypatch.setenv("OTHER_KEY", "k-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def flat(order: TuningOrder) -> dict[str, Any]:
        return {"model": order.model, "training_file": order.training_file, "n_epochs": order.hyperparameters.epochs}

    (tmp_path / "t.jsonl").write_text("x\n")
    with running(TuningService(prefix="/openai", files_path="/uploads", jobs_path="/fine-tunes")) as other:
        address = Address(other.url + "?api-version=1", "OTHER_KEY", "api-key", "")
        service = OpenAIFinetune(Exchange(address), Dialect("/uploads", "/fine-tunes", 1, body=flat))
        job = service.start(TuningOrder("k", "tiny", service.upload("a", tmp_path / "t.jsonl")))
        assert service.look(job.id).stage == "waiting"
    assert {s.headers["api-key"] for s in other.seen} == {"k-1"}
    assert {s.query["api-version"] for s in other.seen} == {"1"}
    assert other.jobs[job.id]["n_epochs"] == 3
    assert service.where == other.url


# --- the order ------------------------------------------------------------------------------------------------------------------


def test_rows_become_a_tuned_model_and_its_price(double: TuningService, tmp_path: Path) -> None:
    time, told = Time(), []
    double.events = [
        {"id": "e1", "message": "Created", "type": "message"},
        {"id": "e2", "message": "Step 1", "type": "metrics", "data": {"step": 1, "train_loss": 2.0, "valid_loss": 2.5}},
        {"id": "e3", "message": "Step 2", "type": "metrics", "data": {"step": 2, "train_loss": 1.0, "full_valid_loss": 1.5}},
        {"id": "e4", "message": "odd", "data": {"step": "x", "train_loss": 1.0}},
    ]
    done = tuning(double, tmp_path, time, told).tune(replace(ASKED, validation=(LINE,)))

    assert (done.model, done.tokens, done.is_charged) == ("ft:tiny:me::1", 1500, True)
    assert done.money == 15.0  # 1.5 thousand tokens at 10
    assert done.curves == (
        Curve("training loss", ((1, 2.0), (2, 1.0))),
        Curve("validation loss", ((1, 2.5), (2, 1.5))),
    )
    assert time.pauses == [20.0, 20.0]
    assert sorted(double.deleted) == ["file-1", "file-2"]
    assert done.left == ()
    job = double.jobs["ftjob-1"]
    assert (job["training_file"], job["validation_file"], job["suffix"], job["seed"]) == ("file-1", "file-2", "mall", 7)
    assert [line for line in told if "Step 1" in line] == ["ftjob-1: Step 1"], "an event is told once"
    assert (tmp_path / TRAIN).read_text() == (LINE + "\n") * 12
    assert (tmp_path / VALIDATION).read_text() == LINE + "\n"


def test_an_order_is_done_once_however_often_it_is_built(double: TuningService, tmp_path: Path) -> None:
    first = tuning(double, tmp_path).tune(ASKED)
    asked = len(double.seen)
    assert tuning(double, tmp_path).tune(ASKED) == first
    assert len(double.seen) == asked, "a finished order needs no network"


@pytest.mark.parametrize("crash", ["POST /files", "POST /fine_tuning/jobs", r"GET /fine_tuning/jobs/ftjob-1", r"DELETE /files/.*"])
def test_after_a_crash_anywhere_nothing_is_uploaded_or_paid_twice(double: TuningService, tmp_path: Path, crash: str) -> None:
    """The process dies when the request has taken effect and its answer has not arrived."""

    class Killed(BaseException):
        pass

    method, path = crash.split()
    started = tuning(double, tmp_path)
    exchange = started._service._exchange  # type: ignore[attr-defined]
    send = exchange._exchange

    def killed(call: Any) -> Any:
        answer = send(call)
        if call.method == method and re.fullmatch(path, call.path):
            raise Killed
        return answer

    exchange._exchange = killed
    with pytest.raises(Killed):
        started.tune(ASKED)

    assert tuning(double, tmp_path).tune(ASKED).model == "ft:tiny:me::1"
    assert double.count("POST", "/v1/files") == 1
    assert double.count("POST", "/v1/fine_tuning/jobs") == 1
    assert double.files == {}


def test_a_job_that_was_started_just_before_a_crash_has_time_to_be_listed(double: TuningService, tmp_path: Path) -> None:
    double.faults["POST /fine_tuning/jobs"] = [(401, {})]
    with pytest.raises(ModelError):
        tuning(double, tmp_path).tune(ASKED)
    time = Time()
    tuning(double, tmp_path, time).tune(ASKED)
    assert time.pauses[0] == 10.0


def test_another_order_is_not_mixed_into_the_folder_of_the_first(double: TuningService, tmp_path: Path) -> None:
    tuning(double, tmp_path).tune(ASKED)
    with pytest.raises(RunError, match=r"order\.json is of another order.*pays, anew"):
        tuning(double, tmp_path).tune(replace(ASKED, model="other"))


def test_two_folders_are_two_orders(double: TuningService, tmp_path: Path) -> None:
    for name in ("a", "b"):
        double.stages = [{"status": "succeeded", "fine_tuned_model": f"ft:{name}"}]
        assert tuning(double, tmp_path / name).tune(ASKED).model == f"ft:{name}"
    assert len(double.jobs) == 2


def test_a_price_above_the_limit_ends_before_anything_is_sent(double: TuningService, tmp_path: Path) -> None:
    """12 lines of 104 bytes are 12 * 35 tokens, twice 840: at 10 per thousand, 8.40."""
    assert len(LINE.encode()) == 104
    with pytest.raises(BudgetError, match=r"12 rows, about 420 tokens, 2 times would cost about 8\.40, above `max_cost` 8\.39"):
        tuning(double, tmp_path, money=8.39).tune(ASKED)
    assert double.seen == []
    tuning(double, tmp_path, money=8.40, price_per_1k=10.0).check(ASKED)


def test_too_few_rows_and_too_large_a_file_end_before_anything_is_sent(double: TuningService, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="9 training rows are fewer than the 10"):
        tuning(double, tmp_path).tune(replace(ASKED, train=(LINE,) * 9))
    small = ManagedTuning(
        OpenAIFinetune(Exchange(Address(double.url)), Dialect(most_bytes=1000)), Limits(100, 60, 1), tmp_path, Clock(), print
    )
    with pytest.raises(DataError, match=r"train\.jsonl would be 0 MiB, more than the 0"):
        small.tune(ASKED)
    assert double.seen == []


def test_a_job_that_takes_too_long_is_cancelled_and_its_files_deleted(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "queued"}]
    with pytest.raises(BudgetError, match=r"ftjob-1 .*has taken 0\.1 hours, above `max_hours` 0\.1, and was cancelled"):
        tuning(double, tmp_path).tune(ASKED)
    assert double.jobs["ftjob-1"]["status"] == "cancelled"
    assert double.deleted == ["file-1"]
    with pytest.raises(BudgetError, match=r"above `max_hours` 0\.1, and was cancelled"):
        tuning(double, tmp_path).tune(ASKED)
    assert len(double.jobs) == 1


def test_a_job_that_grows_too_dear_is_cancelled(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "running"}, {"status": "running", "trained_tokens": 20_000}]
    with pytest.raises(
        BudgetError, match=r"costs 200\.00 for 20,000 tokens, above `max_cost` 100\.00, and was cancelled\. It trained"
    ):
        tuning(double, tmp_path).tune(ASKED)
    assert double.jobs["ftjob-1"]["status"] == "cancelled"


def test_a_job_that_ended_well_before_it_could_be_cancelled_is_used(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "running"}]
    done = {"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": "ft:late"}
    double.faults[r"POST /fine_tuning/jobs/ftjob-1/cancel"] = [(200, done)]
    assert tuning(double, tmp_path).tune(ASKED).model == "ft:late"


def test_a_job_that_cannot_be_cancelled_is_told_as_one_that_still_costs(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "running"}]
    double.faults[r"POST /fine_tuning/jobs/ftjob-1/cancel"] = [(500, {})] * 3
    with pytest.raises(BudgetError, match=r"cancelling it failed: .*HTTP 500.*It may still cost: cancel it there by hand"):
        tuning(double, tmp_path).tune(ASKED)


@pytest.mark.parametrize(
    ("stage", "kind", "told"),
    [
        ({"status": "failed", "error": {"message": "boom"}}, TrainingError, r"ftjob-1 .* failed: boom.*anew delete .*order\.json"),
        ({"status": "expired"}, TrainingError, "failed: status expired, no reason was given"),
        ({"status": "cancelled"}, TrainingError, "was cancelled there"),
        (
            {"status": "failed", "error": {"message": "line 2", "param": "training_file"}},
            DataError,
            r"train\.jsonl: the job ftjob-1 .* cannot learn from it: line 2 Mend the rows",
        ),
    ],
)
def test_a_job_that_ends_badly_says_why_and_is_not_paid_again(
    double: TuningService, tmp_path: Path, stage: dict[str, Any], kind: type[Exception], told: str
) -> None:
    double.stages = [stage]
    for _ in range(2):
        with pytest.raises(kind, match=told):
            tuning(double, tmp_path).tune(ASKED)
    assert double.count("POST", "/v1/fine_tuning/jobs") == 1
    assert double.deleted == ["file-1"]


def test_a_service_that_falls_silent_while_the_job_runs_is_waited_for_by_the_next_run(
    double: TuningService, tmp_path: Path
) -> None:
    double.faults[r"GET /fine_tuning/jobs/ftjob-1"] = [(503, {})] * 3
    with pytest.raises(ModelError, match="The job ftjob-1 goes on there: the same command waits for it again"):
        tuning(double, tmp_path).tune(ASKED)
    assert tuning(double, tmp_path).tune(ASKED).model == "ft:tiny:me::1"
    assert double.count("POST", "/v1/fine_tuning/jobs") == 1


def test_where_the_service_tells_no_tokens_the_estimate_is_the_price(double: TuningService, tmp_path: Path) -> None:
    double.stages = [{"status": "succeeded", "fine_tuned_model": "ft:x"}]
    done = tuning(double, tmp_path).tune(ASKED)
    assert (done.tokens, done.money, done.is_charged) == (840, pytest.approx(8.4), False)


def test_files_are_kept_where_that_is_wished_and_told_where_deleting_fails(double: TuningService, tmp_path: Path) -> None:
    assert tuning(double, tmp_path / "a").tune(replace(ASKED, keeps_files=True)).left == ("file-1",)
    assert double.deleted == []
    double.faults[r"DELETE /files/.*"] = [(403, {})]
    assert tuning(double, tmp_path / "b").tune(ASKED).left == ("file-2",)
    assert tuning(double, tmp_path / "b").tune(ASKED).left == (), "the next run deletes what is left"


def test_the_key_is_written_nowhere(double: TuningService, tmp_path: Path) -> None:
    told: list[str] = []
    double.events = [{"id": "e", "message": f"your key {KEY} is fine"}]
    tuning(double, tmp_path, told=told).tune(ASKED)
    assert KEY not in (tmp_path / ORDER).read_text() + "".join(told)
    assert "your key ***" in "".join(told)
