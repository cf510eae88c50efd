"""HTTP: health, metrics, and (from the next release) REST. May import calls, assistants and webhooks."""
