"""All parties at once under random faults, from a seed: python -m chaos --help."""
