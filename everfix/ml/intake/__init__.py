"""Takes in one CSV or Parquet file: types, refused rows, statistics, and the same data as Parquet; runs as a process of its own.

A file from outside may be made to hurt its reader (a small file that unpacks without end, a page that needs all memory, bytes that
crash a decoder). So it is read by `python -m everfix.ml.intake`, with bounds on memory, processor time and what it writes;
`uploads.taken` starts it. The heavy libraries (Polars, PyArrow: the extra `everfix[ml]`) are loaded there and nowhere else.
"""
