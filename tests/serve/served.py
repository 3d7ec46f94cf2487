"""A server that is begun again whenever it dies: python served.py FOLDER PORT LOG. FOLDER/pid says which process to kill."""

import os
import sys
from pathlib import Path
from typing import Any

from acting import Plain, call
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop, Reply
from sadari.model.scripted import ScriptedModel
from sadari.serve import ServeOptions, Service, listen, serve
from sadari.types import Answer, Traits, Usage


class Payer:
    """Pays the number that the question names, then says so."""

    version = "payer"

    def reply(self, messages: Any, tools: Any, caller: Any) -> Any:
        if messages[-1].role == "tool":
            yield Reply(Answer(messages[-1].content, usage=Usage(1, 1)))
        else:
            yield Reply(Answer("", (call("pay", n=int(messages[-1].content)),), usage=Usage(1, 1)))


def main(folder: Path, port: int, place: str) -> None:
    def pay(n: int) -> str:
        with (folder / "paid").open("a") as paid:
            paid.write(f"{n}\n")
        return f"{n} paid"

    while not (folder / "stop").exists():
        child = os.fork()
        if child == 0:
            log = Log(place)
            tool = Plain("pay", pay, Traits("write", needs_approval=False, is_trusted=True))
            options = ServeOptions(port=port, log=place, requests_per_minute=10**6)
            service = Service(Loop(Agent(Payer(), (tool,)), log), ScriptedModel(), options)
            serve(service, listen(service), lambda line: None)
            os._exit(0)
        (folder / "pid").write_text(str(child))
        _, status = os.waitpid(child, 0)
        with (folder / "ends").open("a") as ends:
            ends.write(f"{status}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
