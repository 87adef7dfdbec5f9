"""Core: what any server needs; knows nothing of failures or reports."""
