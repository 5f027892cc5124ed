# The lean runtime with TensorRT 10.3 for JetPack 6.1 and 6.2 (Orin): no torch.
#   docker build -f docker/jetpack6.Dockerfile -t microaunet:jp6 .       (on the board)
#   docker run --rm --runtime nvidia --user "$(id -u):$(id -g)" -v "$PWD:/work" microaunet:jp6 microaunet-build --bundle bundle
# docker/README.md names the groups that such a user needs for the board's GPU.
FROM --platform=$BUILDPLATFORM python:3.12.12-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Ubuntu's OpenCV has GStreamer. Its packages are pinned by the release of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-opencv python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
# The environment sees the system's TensorRT and OpenCV. The constraint keeps numpy 2, which would break that OpenCV,
# out of whatever is installed later too.
RUN python3 -m venv --system-site-packages /opt/microaunet \
    && echo "numpy<2" > /opt/microaunet/constraints.txt \
    && printf "[install]\nconstraint = /opt/microaunet/constraints.txt\n" > /opt/microaunet/pip.conf \
    && /opt/microaunet/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[commands]" "cuda-bindings==12.9.*" "polygraphy==0.53.6" \
    && /opt/microaunet/bin/python -c "import cv2" \
    && rm -r /wheels \
    && mkdir --mode 1777 /state \
    && useradd --create-home --uid 10001 --groups video microaunet
# A TensorRT that this Python cannot import fails the build. Libraries of the driver come with the running container.
RUN said=$(/opt/microaunet/bin/python -c "import tensorrt" 2>&1) \
    || grep --extended-regexp "lib(cuda\.so|nvdla|nvcudla|nvidia-|nvos|nvrm|nvsci)" <<<"$said" \
    || { echo "$said"; exit 1; }
# The record of the engines that were built is kept in /state/microaunet: mount a folder of the machine's there.
ENV PATH=/opt/microaunet/bin:$PATH XDG_STATE_HOME=/state
USER 10001
WORKDIR /work
CMD ["microaunet-doctor"]
