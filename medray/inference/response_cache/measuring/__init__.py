"""How fast the cache is and how often it hits: what `jobs.cache_bench` and `jobs.cache_replay` measure and show.

`questions` writes as many different questions as are asked for, `latency` and `folder` measure, `replay` runs a stream
of questions through an engine, the pages render what was measured. The cache itself needs none of this.
"""
