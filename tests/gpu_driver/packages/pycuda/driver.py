"""What `import pycuda.driver` finds there."""

import sys

from tests.gpu_driver import shared

sys.modules[__name__] = shared().pycuda
