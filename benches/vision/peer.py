"""The same as main.rs in PyTorch with torchvision: python peer.py THREADS [--cpu-time]"""

import sys
import time

import torch
import torchvision

BATCH, ROUNDS = 32, 9
clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter
torch.set_num_threads(int(sys.argv[1]))
model = torchvision.models.mobilenet_v2().eval()
for size in (160, 224):
    images = (torch.arange(BATCH * 3 * size * size) % 251 / 125 - 1).reshape(BATCH, 3, size, size)
    times = []
    with torch.no_grad():
        for _ in range(ROUNDS + 1):
            start = clock()
            torch.nn.functional.adaptive_avg_pool2d(model.features(images), 1)
            times.append(clock() - start)
    least = min(times[1:])
    print(f"forward {BATCH} x {size}²: {1e3 * least:.1f} ms, {BATCH / least:.0f} images/s")
