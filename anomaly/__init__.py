"""Baselines, models, scores and pages. Pure: no I/O, no wall clock, no global random."""
