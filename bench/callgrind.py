"""Controls callgrind from the program that it runs.

Valgrind recognizes a sequence of instructions that does nothing on a processor (`valgrind.h`, client requests). It is
written here as bytes, so that no compiler is needed. Outside of Valgrind a request does nothing.
"""

import ctypes
import mmap
import platform

_TOOL = (ord("C") << 24) | (ord("T") << 16)
_DUMP_AT, _START, _STOP = _TOOL + 3, _TOOL + 4, _TOOL + 5

# mov rax, rdi; xor edx, edx; rol rdi by 3, 13, 61 and 51; xchg rbx, rbx; mov rax, rdx; ret
_CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")


class InstructionCounter:
    """Counts instructions between `start` and `stop`. Raises RuntimeError on a processor other than x86-64."""

    def __init__(self) -> None:
        if platform.machine() not in ("x86_64", "AMD64"):
            raise RuntimeError("Instructions are counted on x86-64 only.")
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._request = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(address)

    def start(self) -> None:
        self._send(_START)

    def stop(self) -> None:
        self._send(_STOP)

    def dump(self, name: str) -> None:
        """Write the count since the last dump, under this name."""
        text = ctypes.create_string_buffer(name.encode())
        self._send(_DUMP_AT, ctypes.addressof(text))

    def _send(self, request: int, argument: int = 0) -> None:
        arguments = (ctypes.c_uint64 * 6)(request, argument)  # referenced until the call returns
        self._request(ctypes.addressof(arguments))
