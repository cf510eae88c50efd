"""The subcommands of `sovereign-pbx`, one file each. Composition only: may import everything."""
