"""Speech to text, language models, text to speech: an interface each, a file a vendor. May import core and media.

Every implementation raises or reports only `core.errors.ProviderError`.
"""
