"""The PBX as an interface, and its bodies. May import core, wire and media."""
