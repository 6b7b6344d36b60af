"""Entry points of the stages: `python -m jobs.NAME --config FILE --set a.b=v --out DIR`."""
