"""NumPy's products use one thread: ours are many and small, in as many processes as there are cores.

Read first, before NumPy. With a thread for each core in each process, `deid` spent its time waiting for
them. A user's own OPENBLAS_NUM_THREADS wins; torch has threads of its own.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
