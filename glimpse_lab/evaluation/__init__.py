"""Evaluation of trained agents: exact, and against baselines."""
