"""A program for which no file can grow beyond a size: `python -m tests.faults.limited BYTES MODULE ARGS…`.

RLIMIT_FSIZE makes writes fail (EFBIG) as a full disk or a quota does, in a part of a write too, and needs no root. The
interpreter ignores SIGXFSZ.
"""

import resource
import runpy
import sys

import rbcl  # noqa: F401 - it writes its library to a temporary file when it is imported

if __name__ == "__main__":
    limit, module = int(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
