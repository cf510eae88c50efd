"""Sovereign PBX: an AI voice assistant on one's own PBX."""

import os

# numpy's OpenBLAS would otherwise wake a thread per core for large products and let it spin: measured, that doubles
# the cost of a media tick. It reads this once, when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.5.0"
