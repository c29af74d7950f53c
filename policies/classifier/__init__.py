"""The glimpse classifier: what it is, what it remembers, how it is trained."""
