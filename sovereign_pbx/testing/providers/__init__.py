"""Scripted providers: servers that speak the vendors' wire protocols, strictly, with faults on demand."""
