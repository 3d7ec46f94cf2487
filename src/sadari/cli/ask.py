"""`sadari ask`: one question, one answer with its sources."""

from typing import Annotated

import typer

from sadari.cli.show import answer_json, print_answer, print_json
from sadari.cli.what import system_of
from sadari.errors import ModelError


def ask(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")],
    text: Annotated[str, typer.Argument(help="The question.")],
    json: Annotated[
        bool, typer.Option("--json", help="Print answer, citations, tool calls and usage as one JSON document.")
    ] = False,
) -> None:
    """Ask a system one question; the sources it cites stand under the answer."""
    from sadari.run import open_answerer

    answer = open_answerer(system_of(what)).ask(text)
    if answer.error is not None:
        raise ModelError(answer.error)
    if json:
        print_json(answer_json(answer))
    else:
        print_answer(answer)
