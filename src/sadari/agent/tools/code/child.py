"""What runs inside `bubblewrap`: limits itself, then runs the code it reads from standard input.

Started as a file by a Python that knows nothing of sadari; it imports only the standard library. Arguments: seconds of processor
time, bytes of memory, bytes of one file, folders of packages. What the code prints goes to standard output, how it failed to
standard error, as one line of JSON.
"""

import ast
import json
import os
import resource
import sys
from types import CodeType, TracebackType

_NAME = "<code>"


def _limit(seconds: int, memory: int, disk: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, disk),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _compiled(source: str) -> CodeType:
    """The code, with its last expression printed as a notebook does."""
    tree = ast.parse(source, _NAME)
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        shows = ast.parse("if (__last := 0) is not None: print(__last)").body[0]
        assert isinstance(shows, ast.If)
        assert isinstance(shows.test, ast.Compare)
        assert isinstance(shows.test.left, ast.NamedExpr)
        shows.test.left.value = last.value
        tree.body[-1] = shows
    return compile(ast.fix_missing_locations(tree), _NAME, "exec")


def _line(error: BaseException, trace: TracebackType | None) -> int:
    if isinstance(error, SyntaxError) and error.filename == _NAME:
        return error.lineno or 0
    line = 0
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == _NAME else line
        trace = trace.tb_next
    return line


def main() -> int:
    """Run what standard input holds; 0 if it ended well, else 1."""
    report = os.dup(2)
    os.dup2(1, 2)
    seconds, memory, disk = (int(argument) for argument in sys.argv[1:4])
    sys.path += sys.argv[4:]
    source = sys.stdin.read()
    _limit(seconds, memory, disk)
    try:
        exec(_compiled(source), {"__name__": "__main__"})
        sys.stdout.flush()
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return 0
        line = _line(error, error.__traceback__)
        told = {
            "kind": type(error).__name__,
            "message": str(error.msg if isinstance(error, SyntaxError) else error)[:2_000],
            "line": line,
        }
        sys.stdout.flush()
        os.write(report, json.dumps(told).encode())
        return 1


if __name__ == "__main__":
    sys.exit(main())
