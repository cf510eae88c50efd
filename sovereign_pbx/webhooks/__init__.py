"""Webhooks: envelope, signing, asking, delivery from the outbox. May import core, assistants and store."""
