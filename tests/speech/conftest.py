"""Nothing to share by fixture: see `running` (clean loops) and `sounds` (caller's audio) beside this file."""
