"""Ablations: what each part of the method is worth, by leaving it out, with the spread over seeds.

`config` says rows and seeds, `grid` runs every (row, seed) once on Ray Tune and survives kills, `summary` turns the
trials into means, spreads and paired differences, `page` shows them beside the paper's claims. What a trial does is
the caller's: a function from a row's settings and a seed to named figures.
"""
