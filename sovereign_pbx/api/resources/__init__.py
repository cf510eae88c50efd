"""The operations, a module for each area of the contract (§2)."""
