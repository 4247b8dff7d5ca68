"""What `import tensorrt` finds in a job that the tests start with this folder in PYTHONPATH: the stand-in."""

import sys

from tests.gpu_driver import shared

sys.modules[__name__] = shared().tensorrt
