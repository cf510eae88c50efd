"""The assistant: its model, its defaults and limits, and how one is found for a call. May import core."""
