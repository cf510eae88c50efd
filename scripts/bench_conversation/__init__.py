"""Measure the conversation on human speech at 8 kHz: when a turn ends, what interrupts, and how long it takes.

`make bench-conversation` runs all of it and writes the numbers into docs/conversation.md.
"""
