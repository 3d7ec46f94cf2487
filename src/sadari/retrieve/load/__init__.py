"""Read documents of every format from wherever a user has them; what cannot be read is named, never lost."""

from sadari.retrieve.load.database import Query
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.load import Loaded, Options, load, load_all
from sadari.retrieve.load.sources import Fault, Skipped, Source

__all__ = ["Fault", "Limits", "Loaded", "Options", "Query", "Skipped", "Source", "load", "load_all"]
