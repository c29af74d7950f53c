"""The report of a run: its files, its figures, its page."""
