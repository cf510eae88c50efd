"""A customer of the hosted platform, who changes a base URL and a key and nothing else.

The client, the receivers and the tool servers here are written from the contract alone. They share no code with the
daemon, and refuse whatever a typed client library of the platform could not read.
"""
