"""Intervals, paired tests and the size of a difference that a run can show.

Plain numbers go in and come out; nothing here knows items, models or tables. Repeated measurements of one item (orders
of its options, seeds) are a cluster: resampling draws whole items, so that repeats never count as new evidence.
"""

from medray.statistics.detectable import detectable_from_chance, detectable_paired
from medray.statistics.intervals import Interval, bootstrap_mean, bootstrap_statistic, wilson
from medray.statistics.multiple import holm
from medray.statistics.paired import Paired, mcnemar, paired_difference

__all__ = [
    "Interval",
    "Paired",
    "bootstrap_mean",
    "bootstrap_statistic",
    "detectable_from_chance",
    "detectable_paired",
    "holm",
    "mcnemar",
    "paired_difference",
    "wilson",
]
