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
    debootstrap --arch=arm64 --variant=minbase --foreign --include=python3,python3-venv,libgl1,libglib2.0-0 \
        bookworm "$root" >&2
    for package in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" "$root"; done
fi
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# The wheels are fetched outside, by the machine's own pip and its settings.
rm -rf "$root/wheels" "$root/bundle" "$root/out" "$root/opt/microaunet"
mkdir -p "$root/wheels"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$root/wheels" "$source"
"$python" -m pip download --quiet --dest "$root/wheels" --only-binary :all: \
    --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_28_aarch64 --python-version 3.11 --implementation cp \
    --constraint "$source/constraints.txt" numpy typer rich opencv-python onnxruntime
cp -r "$bundle" "$root/bundle"
rm -rf "$root/bundle/engines"

cat >"$root/inside.sh" <<'INSIDE'
set -euo pipefail
python3 -m venv /opt/microaunet
/opt/microaunet/bin/pip install --quiet --no-compile --no-index --find-links /wheels "microaunet[cpu]"
export PATH=/opt/microaunet/bin:$PATH COLUMNS=120
echo "== $(uname -m), emulated, $(python --version)"
pip list --format=freeze | grep -E '^(microaunet|numpy|onnxruntime|opencv-python)=='
python - <<'PYTHON'
import sys
import cv2
import microaunet_runtime
from microaunet_runtime.synthetic import frame
assert not {"torch", "onnx"} & set(sys.modules)
writer = cv2.VideoWriter("/clip.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 256))
for seed in range(12):
    writer.write(frame(seed, 256, 320)[0][:, :, ::-1])
writer.release()
PYTHON
echo "== microaunet-run --self-test"
microaunet-run --bundle /bundle --self-test
echo "== microaunet-run on a synthetic video of 12 frames"
microaunet-run --bundle /bundle --source /clip.mp4 --out /out
(cd /out && find . -type f | sort | head -20)
echo "== microaunet-doctor"
microaunet-doctor
INSIDE
chroot "$root" /bin/bash /inside.sh 2>&1 | tee "$report"
