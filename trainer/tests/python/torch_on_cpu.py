"""Unpacks the wheel of torch so that it can be imported without CUDA: torch_on_cpu.py WHEEL LIBTORCH OUT

What libtorch's directory has is linked to. The CUDA libraries that torch is linked against, 4 GB, are replaced by
libraries of functions that end the process: without a GPU none of them is called.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

# What only development and GPUs need.
LEFT_OUT = re.compile(r"torch/(include|share|bin/(?!torch_shm))|torch/lib/lib(torch_cuda_linalg|caffe2_nvrtc)\.so$|torch/test/")
USERS = ["libtorch_cuda.so", "libtorch_nvshmem.so", "libtorch_python.so", "libc10_cuda.so"]
CUDA = r"(?:cu|nv|nccl)"


def said(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def unpack(wheel, libtorch, out):
    shared = {path.name: path for path in libtorch.iterdir() if path.name != "libtorch.so"}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not LEFT_OUT.match(name) and not (name.startswith("torch/lib/") and name.rsplit("/", 1)[1] in shared):
                archive.extract(name, out)
    lib = out / "torch" / "lib"
    for name, path in shared.items():
        (lib / name).symlink_to(path)
    return lib


def stub(lib, name, wanted):
    """A library that has the functions of its name; versioned ones under their version."""
    version = "NVSHMEM" if "nvshmem" in name else name
    versioned = {symbol.split("@")[0] for symbol in wanted if symbol.endswith(f"@{version}")}
    stem = re.match(r"lib(\w+)\.so", name)[1].lower()
    plain = {symbol for symbol in wanted if "@" not in symbol and symbol.lower().startswith(stem)}
    source, script = lib / "stub.s", lib / "stub.map"
    functions = "".join(f".globl {symbol}\n{symbol}:\n" for symbol in sorted(versioned | plain))
    source.write_text(f".text\n{functions}ud2\n.section .note.GNU-stack,\"\",@progbits\n")
    script.write_text(f"{version} {{ global: *; }};\n")
    options = [f"-Wl,--version-script={script}"] if versioned else []
    said("cc", "-shared", "-nostdlib", f"-Wl,-soname,{name}", *options, "-o", lib / name, source)
    source.unlink()
    script.unlink()


def main():
    wheel, libtorch, out = (pathlib.Path(argument) for argument in sys.argv[1:])
    lib = unpack(wheel, libtorch, out)
    users = [lib / name for name in USERS]
    needed = set(re.findall(rf"\[(lib{CUDA}[^]]*)\]", said("readelf", "-dW", *users)))
    undefined = said("nm", "-D", "--undefined-only", *users)
    wanted = set(re.findall(rf"^ +U ({CUDA}\S*)$", undefined, re.MULTILINE))
    for name in sorted(needed):
        if not (lib / name).exists():
            stub(lib, name, wanted)


if __name__ == "__main__":
    main()
