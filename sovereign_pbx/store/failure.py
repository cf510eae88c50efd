"""The one error that the store raises at run time."""

from sovereign_pbx.core.errors import SovereignError


class StoreError(SovereignError):
    """A write or a read could not be done; the message says which and why."""
