"""OpenVINO's core, one for the whole process.

A core gives the thread in which it loads the processor's part a stack for signals, and takes the memory back when it is
dropped: after a few of them, the next signal there ends the process, and Ctrl-C was a crash.
"""

import openvino

CORE = openvino.Core()
# Mapped, weights would go with a file that is overwritten while they are compiled, and this process with them.
CORE.set_property({"ENABLE_MMAP": False})
