"""Compiles WGSL modules with naga: JSON [{label, text}] from standard input. Ends with 77 without an adapter."""

import json
import sys

import wgpu
import wgpu.utils


def main() -> int:
    adapters = wgpu.gpu.enumerate_adapters_sync()
    if not adapters:
        print("no adapter for wgpu")
        return 77
    adapter = next((a for a in adapters if "shader-f16" in a.features), adapters[0])
    has_f16 = "shader-f16" in adapter.features
    device = adapter.request_device_sync(required_features=["shader-f16"] if has_f16 else [])
    n_done = n_skipped = n_failed = 0
    for shader in json.load(sys.stdin):
        if "enable f16" in shader["text"] and not has_f16:
            n_skipped += 1
            continue
        try:
            device.create_shader_module(code=shader["text"])
            n_done += 1
        except Exception as error:  # wgpu has several classes of them
            n_failed += 1
            print(f"{shader['label']}: {error}")
    skipped = f", {n_skipped} skipped (no f16 here)" if n_skipped else ""
    print(f"{n_done} shaders{skipped}")
    return 1 if n_failed else 0


sys.exit(main())
