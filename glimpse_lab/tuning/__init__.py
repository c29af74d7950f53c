"""A search for better hyperparameters."""
