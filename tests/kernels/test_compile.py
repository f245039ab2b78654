"""All kernels compile with NVIDIA's compiler, without spills, and those of float never compute in double."""

from __future__ import annotations

import re

import nvrtc
import pytest

from netforge.device import kernel_source

MOST_REGISTERS = 128  # so that a block of 512 threads fits on every architecture

# Floats of double: only control (netforge.device.operations.update) is read and written, and converted at once.
ALLOWED_DOUBLE = re.compile(r"\s*(\.reg|(ld|st)\.global(\.nc)?\.f64|cvt(\.rn)?(\.ftz)?\.(f32\.f64|f64\.f32))\b")


@pytest.fixture(autouse=True)
def needs_nvrtc() -> None:
    if nvrtc.library() is None:
        pytest.skip(f"NVRTC is not installed: pip install {nvrtc.DISTRIBUTIONS[0]}")


@pytest.mark.parametrize(
    ("dtype", "architecture"), [("float32", 70), ("float32", 80), ("float32", 90), ("float64", 70), ("float64", 90)]
)
@pytest.mark.parametrize("family", kernel_source.families())
def test_kernels_compile_without_spills(family: str, dtype: str, architecture: int) -> None:
    log = nvrtc.compile_cubin(kernel_source.module_text(family, dtype), architecture)
    expected = {k.name for k in kernel_source.kernels(dtype).values() if k.family == family}
    assert set(re.findall(r"Compiling entry function '(\w+)'", log)) == expected
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert len(spills) >= len(expected)  # functions that were not inlined, such as pow, have lines of their own
    assert set(spills) == {("0", "0")}
    assert max(int(n) for n in re.findall(r"Used (\d+) registers", log)) <= MOST_REGISTERS
    assert "warning" not in log, log


@pytest.mark.parametrize("family", kernel_source.families())
def test_float_kernels_do_not_compute_in_double(family: str) -> None:
    ptx = nvrtc.compile_ptx(kernel_source.module_text(family, "float32"), 80)
    assert ".entry" in ptx
    lines = [line for line in ptx.splitlines() if ".f64" in line and not ALLOWED_DOUBLE.match(line)]
    assert not lines
    if family != "update":
        assert ".f64" not in ptx
