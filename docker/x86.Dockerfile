# TensorRT on an x86-64 PC. "lean" runs bundles; "full" also trains and exports (torch).
#   docker build -f docker/x86.Dockerfile --target lean -t microaunet:x86 .
#   docker build -f docker/x86.Dockerfile --target full -t microaunet:full .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" microaunet:x86 microaunet-build --bundle bundle
FROM --platform=$BUILDPLATFORM python:3.12.12-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM nvcr.io/nvidia/tensorrt:25.08-py3 AS lean
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Its packages are pinned by the release of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
COPY constraints.txt /opt/constraints.txt
RUN /usr/bin/python3 -m venv --system-site-packages /opt/microaunet \
    && /opt/microaunet/bin/pip install --no-cache-dir --constraint /opt/constraints.txt \
        "$(echo /wheels/*.whl)[commands]" onnxruntime opencv-python-headless "polygraphy==0.53.6" \
    # The image's CUDA, not the one that the constraints pin for development.
    && /opt/microaunet/bin/pip install --no-cache-dir "cuda-bindings==13.0.*" \
    && mkdir --mode 1777 /state \
    && useradd --create-home --uid 10001 microaunet
# A TensorRT that this Python cannot import fails the build. Libraries of the driver come with the running container.
RUN said=$(/opt/microaunet/bin/python -c "import tensorrt" 2>&1) \
    || grep --extended-regexp "lib(cuda\.so|nvdla|nvcudla|nvidia-|nvos|nvrm|nvsci)" <<<"$said" \
    || { echo "$said"; exit 1; }
# The record of the engines that were built is kept in /state/microaunet: mount a folder of the machine's there.
ENV PATH=/opt/microaunet/bin:$PATH XDG_STATE_HOME=/state
USER 10001
WORKDIR /work
CMD ["microaunet-doctor"]

FROM lean AS full
# The export extra brings opencv-python, which holds the same module as the headless build and needs libGL.
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN wheel=$(echo /wheels/*.whl) \
    && /opt/microaunet/bin/pip install --no-cache-dir --constraint /opt/constraints.txt "microaunet[export] @ file://$wheel"
USER 10001
