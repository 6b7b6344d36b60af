"""Inference: the Engine protocol and its implementations. Serving places engines; no engine knows Ray or HTTP."""
