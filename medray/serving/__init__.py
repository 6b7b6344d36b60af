"""Serving: an OpenAI-compatible endpoint that chooses, by live figures, the pool that answers (PAPER R3, Eq. 7).

config -> plan -> app (Ray Serve graph) -> selector (ingress) -> dispatch -> replicas. The decision and everything about
the wire format are plain Python without Ray. The package says nothing about how tokens are made: that is the Engine's.
"""
