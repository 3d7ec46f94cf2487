"""The command line: one file per verb; flags in, one call, tables out."""

from sadari.cli.main import main

__all__ = ["main"]
