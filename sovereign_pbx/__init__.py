"""Sovereign PBX: an AI voice assistant on one's own PBX."""

__version__ = "0.1.0"
