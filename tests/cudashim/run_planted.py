"""Launch one kernel of planted.cu in a process of its own: `python run_planted.py KERNEL BLOCKS THREADS`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cudashim import RawModule  # noqa: E402 (the path comes first)

ARGUMENTS = {
    "past_the_end": lambda: (np.zeros(20, np.float32), np.int32(20)),
    "past_static_shared": lambda: (np.zeros(32, np.int32),),
    "overflow": lambda: (np.zeros(1, np.int32), np.int32(1)),
    "scaled": lambda: (np.zeros(20, np.float32), np.zeros(20, np.float32), np.float32(2), np.int32(20)),
}

if __name__ == "__main__":
    name, blocks, threads = sys.argv[1:]
    kernel = RawModule(code=(HERE / "planted.cu").read_text()).get_function(name)
    arguments = ARGUMENTS.get(name, lambda: (np.zeros(64, np.float32),))()
    kernel((int(blocks),), (int(threads),), arguments, shared_mem=4 * int(threads))
