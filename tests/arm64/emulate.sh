#!/bin/bash
# Install the runtime wheel into an emulated arm64 Debian and run a bundle there: self-test, then one video.
#
#   sudo tests/arm64/emulate.sh BUNDLE REPORT
#
# needs: debootstrap qemu-user-static (apt-get install), about 2 GB, root (chroot, binfmt_misc), a network.
# ROOT=/path keeps the system there for the next call. PYTHON=... builds the wheel and fetches the others.
# Emulated, times say nothing about a board; results must agree all the same.
set -euo pipefail

bundle=$(realpath "$1")
report=$(realpath "$2")
source=$(realpath "$(dirname "$0")/../..")
python=${PYTHON:-python3}
keep=${ROOT:-}
root=${ROOT:-$(mktemp -d)}
handler=/proc/sys/fs/binfmt_misc/qemu-aarch64

finish() {
    if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
    if [ -z "$keep" ]; then rm -rf "$root"; fi
}
trap finish EXIT

for tool in debootstrap qemu-aarch64-static; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install debootstrap qemu-user-static" >&2; exit 2; }
done

if [ ! -e "$handler" ]; then
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
fi

# Unpacked by this machine's own tools and never configured: Python needs no more, and emulated it would take long.
if [ ! -e "$root/usr/bin/python3" ]; then
    echo "fetching arm64 Debian" >&2
    debootstrap --arch=arm64 --variant=minbase --foreign --include=python3,libgl1,libglib2.0-0 \
        bookworm "$root" >&2
    for package in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" "$root"; done
fi
# No /sys: the host's describes an x86 processor, and ONNX Runtime crashes on it. Without, it warns.
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# The machine's own pip picks and unpacks the arm64 wheels: emulated, that alone would take half an hour.
rm -rf "$root/wheel" "$root/bundle" "$root/out" "$root/opt/microaunet"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$root/wheel" "$source"
"$python" -m pip install --quiet --no-compile --target "$root/opt/microaunet" --only-binary :all: \
    --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_28_aarch64 --python-version 3.11 --implementation cp \
    --constraint "$source/constraints.txt" "$(echo "$root"/wheel/*.whl)[cpu]"
cp -r "$bundle" "$root/bundle"
rm -rf "$root/bundle/engines"

cat >"$root/inside.sh" <<'INSIDE'
set -euo pipefail
export PYTHONPATH=/opt/microaunet PYTHONDONTWRITEBYTECODE=1 COLUMNS=120
run() { python3 "/opt/microaunet/bin/$@"; }
echo "== $(uname -m), emulated, $(python3 --version)"
python3 - <<'PYTHON'
import sys
from importlib.metadata import version

import cv2
import microaunet_runtime
from microaunet_runtime.images.synthetic import frame
assert not {"torch", "onnx"} & set(sys.modules)
print(", ".join(f"{name} {version(name)}" for name in ("microaunet", "numpy", "onnxruntime", "opencv-python")))
writer = cv2.VideoWriter("/clip.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 256))
for seed in range(12):
    writer.write(frame(seed, 256, 320)[0][:, :, ::-1])
writer.release()
PYTHON
echo "== microaunet-run --self-test"
run microaunet-run --bundle /bundle --self-test
echo "== microaunet-run on a synthetic video of 12 frames"
run microaunet-run --bundle /bundle --source /clip.mp4 --out /out
(cd /out && find . -type f | sort | head -20)
INSIDE
# The nearest that QEMU has to Orin's Cortex-A78AE.
QEMU_CPU=cortex-a76 chroot "$root" /bin/bash /inside.sh 2>&1 | grep -Ev '^(Error in cpuinfo|onnxruntime .*cpu)' |
    tee "$report"
