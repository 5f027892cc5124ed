# The lean runtime with TensorRT 10.13 and CUDA 13 for JetPack 7.0 and later (Thor; Orin from 7.2): no torch.
#   docker build -f docker/jetpack7.Dockerfile -t microaunet:jp7 .       (on the board)
#   docker run --rm --runtime nvidia --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" microaunet:jp7 microaunet-build --bundle bundle
# docker/README.md names the groups that such a user needs for the board's GPU.
FROM --platform=$BUILDPLATFORM python:3.12.12-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM nvcr.io/nvidia/tensorrt:25.08-py3
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Ubuntu's OpenCV has GStreamer. Its packages are pinned by the release of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-opencv python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
# The constraint keeps numpy 2, which would break the system's OpenCV, out of whatever is installed later too.
RUN /usr/bin/python3 -m venv --system-site-packages /opt/microaunet \
    && echo "numpy<2" > /opt/microaunet/constraints.txt \
    && printf "[install]\nconstraint = /opt/microaunet/constraints.txt\n" > /opt/microaunet/pip.conf \
    && /opt/microaunet/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[commands]" "cuda-bindings==13.0.*" "polygraphy==0.53.6" \
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
