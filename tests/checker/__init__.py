"""Checks the recording of a run: python -m checker FOLDER. It shares no code with what made the recording."""
