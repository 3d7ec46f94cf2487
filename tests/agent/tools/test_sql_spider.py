"""Gold SQL of Spider, as the output of a model, passes the guard with its results unchanged: a sample of the benchmark."""

import importlib.util
from pathlib import Path
from types import ModuleType

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "safety" / "spider.py"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("safety_spider", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_sample_of_gold_queries_passes_with_the_same_results(shared_data: Path) -> None:
    found = benchmark().measure(shared_data / "text2sql-spiderman", most=120)
    assert found["spider_gold"] == 120
    assert found["refused"] == []
    assert found["changed"] == []
    assert found["spider_admitted_by_grammar"] > 0.9


def test_a_changed_result_would_be_seen() -> None:
    spider = benchmark()
    assert spider._is_same([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], in_order=False)
    assert not spider._is_same([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], in_order=True)
    assert not spider._is_same([(3,)], [(3.0,)], in_order=False)
    assert not spider._is_same([(1,), (1,)], [(1,)], in_order=False)
