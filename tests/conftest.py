"""Fixtures of every room."""

from pathlib import Path

import pytest

from sovereign_pbx.testing.asterisk_tree import asterisk_tree
from sovereign_pbx.testing.progress_line import ProgressLine


@pytest.fixture(scope="session")
def asterisk_root() -> Path:
    """The private Asterisk, fetched at most once per user; a machine that can't have it fails the test."""
    return asterisk_tree(ProgressLine("Asterisk")).root
