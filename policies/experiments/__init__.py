"""Many trainings under one name: a run's training, seeds, sweeps and searches."""
