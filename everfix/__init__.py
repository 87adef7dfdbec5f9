"""Everfix finds what keeps failing, predicts its return, proves that a fix held, and reports it."""

import os

# Our matrices are small: more threads than one only wait for each other (a solve of 40 × 40 took 20 ms on a busy machine
# instead of 0.1). NumPy reads these once, when it is first imported, so they stand here.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

__version__ = "0.1.0"
