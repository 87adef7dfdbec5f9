"""Benches: each figure that Everfix claims, measured beside its peer in the same run."""
