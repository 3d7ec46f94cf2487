"""Python for the model, in a sandbox that is really there: `monty` by default, `bubblewrap` for numpy and pandas."""

from sadari.agent.tools.code.tool import CodeOptions, open_code

__all__ = ["CodeOptions", "open_code"]
