# The lean runtime on ONNX Runtime, x86-64 or arm64: no torch, no GPU.
#   docker build -f docker/cpu.Dockerfile -t microaunet:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" microaunet:cpu microaunet-run --bundle bundle --source clip.mp4 --out out
FROM --platform=$BUILDPLATFORM python:3.12.12-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12.12-slim-bookworm
COPY --from=wheel /wheels /wheels
COPY constraints.txt /tmp/constraints.txt
# The headless OpenCV needs no X libraries.
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(echo /wheels/*.whl)[commands]" onnxruntime opencv-python-headless \
    && python -c "import cv2, onnxruntime" \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --create-home --uid 10001 microaunet
USER 10001
WORKDIR /work
CMD ["microaunet-doctor"]
