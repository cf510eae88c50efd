"""Codecs, pure. Standard library and numpy only."""
