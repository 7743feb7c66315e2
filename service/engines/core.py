"""OpenVINO's core, one for the whole process.

A core that has loaded the processor's part and is dropped leaves the thread that made it with a stack for signals in
memory that is gone: after a few of them, the next signal there ends the process, and Ctrl-C was a crash.
"""

import openvino

CORE = openvino.Core()
# Mapped, weights would go with a file that is overwritten while they are compiled, and this process with them.
CORE.set_property({"ENABLE_MMAP": False})
