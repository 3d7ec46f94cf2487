"""The one way out: requests to addresses that a document, a model or a person wrote, sent only where they may go."""

from sadari.egress.addresses import Address, EgressError, Fault, is_public, parse_address
from sadari.egress.client import Ask, Caps, Egress, Reply, send

__all__ = ["Address", "Ask", "Caps", "Egress", "EgressError", "Fault", "Reply", "is_public", "parse_address", "send"]
