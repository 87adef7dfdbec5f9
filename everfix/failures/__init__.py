"""Failures: the closed loop from an issue to a fix that is proven to hold. `loop.STEPS` is the whole of it on one page."""
