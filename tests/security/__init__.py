"""Attacks, and what each meets. `scripts/draw-attacks.py` draws the table in docs/security.md from here."""
