"""Runs of inverse action modelling: what an agent tells, measured, beside classical registration.

Training, run directories and checkpoints are those of all runs; see :mod:`glimpse_lab.kinds`.
"""
