"""Runs of minutes to an hour: `./dev long`. See tests/README.md."""
