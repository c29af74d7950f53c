"""Evaluation of trained agents: exact, against baselines, and visible."""
