"""Addresses of stores and databases, whose secrets stand in the environment.

Covered: a variable's value is escaped where it stands inside an address; what is shown holds neither a user nor a query.
Not covered: what a driver writes into its own error messages.
"""

import os
import re
from urllib.parse import quote

from sadari.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_LETS_THROUGH = ":/,"
"""What a value may bring into an address unescaped: hosts have ports, databases have folders."""


def fill_address(address: str) -> str:
    """An address with `${NAME}` and `${NAME:-default}` filled in; one that is nothing but a variable is its value as it stands.

    Raises:
        ConfigError: If a variable is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            raise ConfigError(f"{shown_address(address)}: the environment variable {match[1]} is not set. Set it.")
        return found if match[0] == address else quote(found, safe=_LETS_THROUGH)

    return _VARIABLE.sub(value, address)


def shown_address(address: str) -> str:
    """An address as it may be shown: a folder as it is, all else without user, password and query."""
    scheme, mark, place = address.partition("://")
    return f"{scheme}{mark}{place.rpartition('@')[2].partition('?')[0]}" if mark else address
