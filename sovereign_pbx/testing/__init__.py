"""Shipped fakes and callers, for our tests and for those of our users: a private Asterisk, a SIP caller, an
AudioSocket caller, scripted providers, virtual time. May import everything."""
