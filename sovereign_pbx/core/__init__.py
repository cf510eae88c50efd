"""The conversation, pure: no await, no clock, no socket. Standard library only.

Time is an argument everywhere (`now`, seconds on one monotonic clock that the shell chooses).
"""
