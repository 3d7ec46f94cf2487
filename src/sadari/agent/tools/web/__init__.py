"""The web as tools: searched through a provider, and read page by page."""

from sadari.agent.tools.web.opening import WebOptions, open_web
from sadari.agent.tools.web.recorded import RecordedWeb
from sadari.agent.tools.web.search import Hit, Provider, Query

__all__ = ["Hit", "Provider", "Query", "RecordedWeb", "WebOptions", "open_web"]
