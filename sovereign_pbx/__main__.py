"""`python -m sovereign_pbx`."""

from sovereign_pbx.cli import main

main()
