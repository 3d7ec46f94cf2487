"""What the user brings: `sadari.yaml`, examples in every format, documents, splits, and the checks."""

from sadari.task.config import (
    IMPLEMENTED_RUNGS,
    BudgetConfig,
    ExamplesConfig,
    LeaksConfig,
    MoneyConfig,
    RungSpec,
    ScoreConfig,
    TaskConfig,
    ToolDeclaration,
    load_config,
    parse_duration,
)
from sadari.task.documents import load_documents
from sadari.task.duplicates import DuplicateIndex, NearIndex, near_duplicates, question_text
from sadari.task.labels import label_set
from sadari.task.leaks import LeakCheck, Twin, check_leaks, find_twins
from sadari.task.readers import Row, Scan, read_examples, scan_rows
from sadari.task.splits import cut, cut_test, cut_validation, join_groups
from sadari.task.task import Task, load_task, located
from sadari.task.templates import TEMPLATES, init_task
from sadari.task.text import fold, nfc

__all__ = [
    "IMPLEMENTED_RUNGS",
    "TEMPLATES",
    "BudgetConfig",
    "DuplicateIndex",
    "ExamplesConfig",
    "LeakCheck",
    "LeaksConfig",
    "MoneyConfig",
    "NearIndex",
    "Row",
    "RungSpec",
    "Scan",
    "ScoreConfig",
    "Task",
    "TaskConfig",
    "ToolDeclaration",
    "Twin",
    "check_leaks",
    "cut",
    "cut_test",
    "cut_validation",
    "find_twins",
    "fold",
    "init_task",
    "join_groups",
    "label_set",
    "load_config",
    "load_documents",
    "load_task",
    "located",
    "near_duplicates",
    "nfc",
    "parse_duration",
    "question_text",
    "read_examples",
    "scan_rows",
]
