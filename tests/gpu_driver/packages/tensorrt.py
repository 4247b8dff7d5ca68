"""Stand-in for `tensorrt`, for jobs that tests start with this folder in PYTHONPATH."""

import sys

from tests.gpu_driver import shared

sys.modules[__name__] = shared().tensorrt
