"""`sadari chat`: questions and answers until an empty line."""

from typing import Annotated

import typer
from rich.markup import escape

from sadari.cli.show import answer_json, errors, print_answer, print_json
from sadari.cli.what import system_of, with_index
from sadari.errors import RunError
from sadari.types import Example, Message, System


def chat(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")],
    index: Annotated[
        str | None,
        typer.Option(help="Look up in this index (as `sadari index --store` names it) in place of the bundle's documents."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole conversation as one JSON document at the end.")] = False,
    run: Annotated[str, typer.Option(help="Of a system with tools: the run that goes on, as `sadari log list` names it.")] = "",
) -> None:
    """Talk to a system. Earlier turns are remembered; an empty line or Ctrl-D ends the talk.

    A system with tools asks before it changes anything, and everything it does is in `sadari log`.
    """
    system = with_index(system_of(what), index)
    if system.toolbox is not None:
        _act(what, system, run, json=json)
        return
    from sadari.run import open_answerer

    answerer = open_answerer(system)
    messages: tuple[Message, ...] = ()
    turns: list[dict[str, object]] = []
    errors.print("An empty line ends the talk.", style="dim")
    while question := _asked():
        messages += (Message("user", question),)
        answer = answerer.answer([Example(f"turn-{len(turns)}", messages)])[0]
        if answer.error is not None:
            errors.print(f"no answer: {answer.error}", markup=False, style="red")
            messages = messages[:-1]
            continue
        messages += (Message("assistant", answer.text),)
        turns.append({"question": question, **answer_json(answer)})
        if not json:
            print_answer(answer)
    if json:
        print_json({"turns": turns})


def _act(what: str, system: System, run: str, *, json: bool) -> None:
    from sadari.cli.act import converse, opened_loop

    turns: list[dict[str, object]] = []
    with opened_loop(what, system) as loop:
        errors.print("An empty line ends the talk.", style="dim")
        if run and not loop.log.events(run):
            raise RunError(f"{run}: there is no such run. `sadari log list {what}` shows those that are.")
        if run and loop.state(run).status != "idle":
            _, waited = converse(loop, run, "", _asked)
            if waited is not None:
                print_answer(waited)
        while question := _asked():
            run, answer = converse(loop, run, question, _asked)
            if answer is None:
                errors.print(f"The run waits. Go on with it once it is decided: sadari chat {what} --run {run}", markup=False)
                break
            turns.append({"question": question, **answer_json(answer)})
            if not json:
                print_answer(answer)
    if json:
        print_json({"run": run, "turns": turns})


def _asked(prompt: str = "> ") -> str:
    try:
        return errors.input(escape(prompt)).strip()
    except EOFError:
        return ""
