"""What every verb's tests need: the command itself."""

import sys
from pathlib import Path

import pytest

from command import Sadari, Said
from sadari.cli import main
from sadari.cli.show import errors, output


@pytest.fixture
def sadari(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sadari:
    """Runs the command with these words; in this process, since it starts in no time."""

    def run(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["sadari", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    # The consoles look for sys.stdout when they print; their width is that of a pipe.
    assert errors.width == output.width == 150
    return run
