"""Pure computations behind ML reports: arrays and tables in, plain figures out; no database, no file, no words but reasons.

Every module raises `unmade.Unmade` with a reason a reader understands where the data cannot give the figure, and never returns NaN.
"""
