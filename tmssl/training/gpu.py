"""How busy the GPU is, as NVIDIA's library tells it; asking never waits for the GPU's own work."""

import torch

try:
    import pynvml
except ModuleNotFoundError:  # the extra `gpu` is not installed
    pynvml = None


def nvml_name(device: torch.device) -> bytes:
    """The name by which NVIDIA's library knows a CUDA device, whatever CUDA_VISIBLE_DEVICES hides."""
    told = str(torch.cuda.get_device_properties(device).uuid)
    return (told if told.startswith(("GPU-", "MIG-")) else f"GPU-{told}").encode()


def gpu_use(device: torch.device) -> float | None:
    """Share of the last moments in which the device was computing, 0 to 1.

    None on a CPU, without nvidia-ml-py, and where driver or device do not tell, as parts of a GPU.
    """
    if device.type != "cuda" or pynvml is None:
        return None
    return use_by_name(nvml_name(device))


def use_by_name(name: bytes) -> float | None:
    """`gpu_use` of the device of this name; the library is opened and closed again."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no library or no driver
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(name)
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except pynvml.NVMLError:  # an unknown device, or one that keeps no such figure
        return None
    finally:
        pynvml.nvmlShutdown()
