"""Measure what loss, jitter and re-ordering do to calls: how much is understood, and what MOS is told."""
