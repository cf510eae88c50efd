"""One call's life. May import everything below it, and is imported only by api and the composition."""
