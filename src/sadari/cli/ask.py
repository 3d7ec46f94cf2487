"""`sadari ask`: one question, one answer with its sources."""

from typing import Annotated

import typer

from sadari.cli.show import answer_json, print_answer, print_json
from sadari.cli.what import system_of, with_index
from sadari.errors import ModelError, ToolRefusedError
from sadari.types import Answer, System


def ask(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")],
    text: Annotated[str, typer.Argument(help="The question.")],
    index: Annotated[
        str | None,
        typer.Option(help="Look up in this index (as `sadari index --store` names it) in place of the bundle's documents."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print answer, citations, tool calls and usage as one JSON document.")
    ] = False,
) -> None:
    """Ask a system one question; the sources it cites stand under the answer."""
    system = with_index(system_of(what), index)
    if system.toolbox is not None:
        answer = _act(what, system, text)
    else:
        from sadari.run import open_answerer

        answer = open_answerer(system).ask(text)
    if answer.error is not None:
        raise ModelError(answer.error)
    if json:
        print_json(answer_json(answer))
    else:
        print_answer(answer)


def _act(what: str, system: System, text: str) -> Answer:
    from sadari.cli.act import converse, opened_loop

    with opened_loop(what, system) as loop:
        run, answer = converse(loop, "", text, None)
    if answer is None:
        raise ToolRefusedError(f"{run} waits for a person. Decide, then go on with it: sadari chat {what} --run {run}")
    return answer
