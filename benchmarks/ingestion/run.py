"""Load 1,000 files of every format, 50 of them broken: is every good one read, every bad one named, and what does it cost?

    .venv/bin/python benchmarks/ingestion/run.py [--files 1000] [--broken 50] [--seed 0] [--folder PATH]

Prints what went wrong, if anything did, and ends in one line of JSON.
"""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from files import Written, write_files

from sadari.retrieve.load import Loaded, load_all


def main() -> int:
    """Write, load, compare; 0 if nothing was lost and nothing was unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="an empty folder to write into; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        written = write_files(Path(folder), options.files, options.broken, options.seed)
        start = time.perf_counter()
        loaded = load_all(folder)
        seconds = time.perf_counter() - start
        problems = compare(written, loaded, folder)
    print("\n".join(problems), end="\n" if problems else "")
    print(
        json.dumps(
            {
                "files": options.files,
                "good": len(written.good),
                "loaded": len(loaded.documents),
                "broken": len(written.bad),
                "faults": len(loaded.faults),
                "unexpected": len(problems),
                "seconds": round(seconds, 2),
                "files_per_s": round(options.files / seconds, 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "worker_peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
            }
        )
    )
    return 1 if problems else 0


def compare(written: Written, loaded: Loaded, folder: str) -> list[str]:
    """In words, whatever was lost, read wrongly, or named without need."""
    texts = {document.id: document.text for document in loaded.documents}
    faults = {fault.source.removeprefix(f"{folder}/"): fault.reason for fault in loaded.faults}
    problems = [f"{name}: not loaded" for name in written.good if name not in texts]
    problems += [
        f"{name}: its text lacks {marker}" for name, marker in written.good.items() if marker not in texts.get(name, marker)
    ]
    for name, reason in written.bad.items():
        found = [why for source, why in faults.items() if source == name or source.startswith((f"{name}/", f"{name} "))]
        if not any(re.search(reason, why) for why in found):
            problems.append(f"{name}: wanted {reason!r}, got {found}")
    known = (*written.good, *written.bad)
    problems += [f"{source}: unexpected fault: {why}" for source, why in faults.items() if not source.startswith(known)]
    return problems


if __name__ == "__main__":
    sys.exit(main())
