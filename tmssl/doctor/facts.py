"""The facts of a machine, as plain values, so that a test can describe any machine."""

import msgspec

GIB = 1 << 30


class Torch(msgspec.Struct, frozen=True, kw_only=True):
    """What importing torch, torchvision and timm in another process showed."""

    error: str = ""
    """why they cannot be imported; empty when they can"""
    torch: str = ""
    torchvision: str = ""
    timm: str = ""
    cuda: str = ""
    """CUDA version that torch was built for, empty for a build without"""
    available: bool = False
    """whether CUDA works"""
    cuda_error: str = ""
    """what CUDA said when it did not"""
    gpus: list[str] = []
    """names of the GPUs that torch sees"""
    gpu_bytes: int = 0
    """memory of the first"""
    capability: str = ""
    """compute capability of the first, such as `sm_89`"""
    built_for: list[str] = []
    """compute capabilities that torch has kernels for"""


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The disk under the folder of runs."""

    path: str = ""
    free: int = 0
    """bytes"""
    write_s: float | None = None
    """bytes a second, written and synced; None where the folder cannot be written"""


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says of the terminal."""

    columns: int = 0
    """0 when there is none"""
    lines: int = 0
    colours: str = "none"
    """`none`, `16`, `256` or `true`"""
    images: str = "blocks"
    """`kitty`, `iterm2`, `sixel`, `blocks` or `none`"""
    multiplexer: str = ""
    """`tmux` or `screen`"""
    utf8: bool = True


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A machine."""

    python: tuple[int, int, int] = (3, 11, 0)
    torch: Torch = Torch()
    driver: str = ""
    """version of NVIDIA's driver, empty without one"""
    cores: float = 1.0
    """that this process may use"""
    machine_cores: int = 1
    memory: int = 0
    """bytes that this process may use"""
    shared_memory: int = 0
    """bytes of /dev/shm, 0 without one"""
    disk: Disk = Disk()
    terminal: Terminal = Terminal()
