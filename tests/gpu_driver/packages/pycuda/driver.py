"""Stand-in for `pycuda.driver`, for jobs."""

import sys

from tests.gpu_driver import shared

sys.modules[__name__] = shared().pycuda
