"""Many trainings under one name: seeds, and values of a setting."""
