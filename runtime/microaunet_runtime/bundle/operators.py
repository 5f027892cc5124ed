"""The operators that an untrusted bundle may use.

Each computes tensors from tensors and ends: no loop or branch with a graph inside, no random numbers, no
strings, nothing outside ONNX's own domain, and so no foreign code. The list covers this project's networks
and what segmentation networks usually use. An operator may be added if all of this holds for it.
"""

from __future__ import annotations

# fmt: off
OPERATORS = frozenset((
    "Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum",
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization",
    "LpNormalization",
    "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool",
    "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Clip", "HardSigmoid", "HardSwish",
    "Mish", "Sigmoid", "Softplus", "Softsign", "Tanh",
    "Softmax", "LogSoftmax",
    "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Log", "Abs", "Neg", "Reciprocal", "Erf",
    "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Min", "Max", "Mean", "Sum", "Mod",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ArgMax", "ArgMin", "TopK",
    "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not", "Xor", "Where",
    "Concat", "Split", "Slice", "Gather", "GatherElements", "Reshape", "Flatten", "Transpose",
    "Squeeze", "Unsqueeze", "Expand", "Tile", "Pad",
    "Resize", "Upsample", "GridSample", "DepthToSpace", "SpaceToDepth",
    "Cast", "CastLike", "Constant", "ConstantOfShape", "Identity", "Range", "Shape", "Size",
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger",
))
# fmt: on
