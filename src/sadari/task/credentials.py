"""Credentials in the rows and documents of a task; looked for by `sadari.text.credentials`."""

from sadari.text.credentials import find_credentials

__all__ = ["find_credentials"]
