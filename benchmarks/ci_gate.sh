#!/usr/bin/env bash
# The ratio gate of CI: export the shipped weights with the code as it is now, and hold that bundle against the
# committed one, both measured in turns on this machine. Fails (exit code 3) when a precision became slower, less
# accurate, larger or longer. Works on a noisy machine, because only the ratio counts.
#
#   benchmarks/ci_gate.sh [folder for the results]
#
# WEIGHTS names the shipped weights and the baseline, PRECISIONS what is gated, PYTHON the interpreter.
# With MICROAUNET_DATA, accuracy is gated on the Kvasir-SEG test set, too.
set -euo pipefail
cd "$(dirname "$0")/.."

results=${1:-runs/gate}
weights=${WEIGHTS:-kvasir}
baseline=benchmarks/baselines/$weights
python=${PYTHON:-.venv/bin/python}
data=()
if [ -n "${MICROAUNET_DATA:-}" ]; then
    data=(--data "$MICROAUNET_DATA/kvasir-seg")
fi

"$python" -c "from microaunet_export.commands.export import main; main()" \
    --weights "$weights" --int8 --out "$results/bundle"

failed=0
for precision in ${PRECISIONS:-fp32 int8}; do
    echo "== $precision against $baseline"
    "$python" -c "from microaunet_runtime.commands.bench import main; main()" regression \
        --bundle "$results/bundle" --baseline "$baseline" --precision "$precision" \
        --json "$results/regression-$precision.json" "${data[@]}" || failed=$?
done
exit "$failed"
