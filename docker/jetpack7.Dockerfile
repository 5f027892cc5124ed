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
RUN /usr/bin/python3 -m venv --system-site-packages /opt/microaunet \
    && /opt/microaunet/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[commands]" "numpy<2" "cuda-bindings==13.0.*" "polygraphy==0.53.6" \
    && rm -r /wheels \
    && mkdir --mode 1777 /state \
    && useradd --create-home --uid 10001 --groups video microaunet
# The record of the engines that were built is kept in /state/microaunet: mount a folder of the machine's there.
ENV PATH=/opt/microaunet/bin:$PATH XDG_STATE_HOME=/state
USER 10001
WORKDIR /work
CMD ["microaunet-doctor"]
