import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import sadari
from acting import call
from sadari.types import Answer

ROLES = {"kim": "user", "boss": "approver", "ops": "operator"}
DASHBOARD = Path(sadari.__file__).parents[2] / "deploy" / "grafana" / "sadari.json"


def told(live: Any) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    with live.http("ops") as ops:
        text = ops.get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}


def ask(live: Any) -> Any:
    with live.http("kim") as http:
        return http.post(
            "/v1/chat/completions", json={"model": "sadari", "messages": [{"role": "user", "content": "내 줘"}]}
        ).json()


def test_what_the_agent_does_is_counted(start: Any, till: Any) -> None:
    says = ([call("pay", n=5)], "냈습니다.", Answer("모릅니다.", abstained=True))
    live = start(*says, tools=(till.tool(),), users=ROLES)
    run = ask(live)["sadari"]["run"]
    with live.http("boss") as boss, live.http("kim") as kim:
        (one,) = boss.get("/sadari/approvals").json()["approvals"]
        decision = {"decision": "approve", "fingerprint": one["fingerprint"]}
        boss.post(f"/sadari/approvals/{run}/{one['call']}", json=decision)
        live.wait_for(lambda: kim.get(f"/sadari/runs/{run}").json()["status"] == "idle")
        kim.post(f"/sadari/runs/{run}/rating", json={"rating": "up"})
    ask(live)
    found = told(live)
    assert found["sadari_answers_total", "answered"] == 2
    assert found["sadari_abstentions_total",] == 1
    assert found["sadari_tool_calls_total", "succeeded", "pay"] == 1
    assert found["sadari_tool_seconds_count", "pay"] == 1
    assert found["sadari_approval_wait_seconds_count", "approved"] == 1
    assert found["sadari_ratings_total", "up"] == 1
    assert found["sadari_model_turn_seconds_count",] == 3
    assert found["process_resident_memory_bytes",] > 10_000_000
    assert any(name[0] == "sadari_build_info" and sadari.__version__ in name for name in found)
    assert found["sadari_requests_total", "/sadari/approvals/{run}/{call}", "200"] == 1


@pytest.mark.skipif(not DASHBOARD.is_file(), reason="the sources are not here")
def test_every_query_of_the_dashboard_names_metrics_that_exist(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], users=ROLES, tools=(till.tool(),))
    ask(live)
    with live.http("ops") as ops:
        text = ops.get("/metrics").text
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    known = {name + end for name, kind in families.items() for end in ends.get(kind, ("",))} | set(families)
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    named = [set(re.findall(r"\b(?:sadari|process)_\w+", query)) for query in queries]
    assert len(queries) >= 15
    assert all(named)
    assert set().union(*named) - known == set()
    places = [(p["gridPos"]["x"] + p["gridPos"]["w"], p["gridPos"]["w"]) for p in board["panels"]]
    assert all(end <= 24 and width > 0 for end, width in places)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
