"""`sadari chat`: questions and answers until an empty line."""

from typing import Annotated

import typer

from sadari.cli.show import answer_json, errors, print_answer, print_json
from sadari.cli.what import system_of
from sadari.types import Example, Message


def chat(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")],
    json: Annotated[bool, typer.Option("--json", help="Print the whole conversation as one JSON document at the end.")] = False,
) -> None:
    """Talk to a system. Earlier turns are remembered; an empty line or Ctrl-D ends the talk."""
    from sadari.run import open_answerer

    answerer = open_answerer(system_of(what))
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


def _asked() -> str:
    try:
        return errors.input("> ").strip()
    except EOFError:
        return ""
