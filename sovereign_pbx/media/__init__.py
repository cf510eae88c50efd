"""One clock for all calls, and everything that touches samples. May import core and wire."""
