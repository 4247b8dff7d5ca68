"""The operators that a network may have: they compute from their inputs, and access no file, process or host."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# TensorFlow 1 and 2, in frozen graphs: arithmetic, shapes, convolutions, suppression.
_COMPUTING = _names("""
Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul
BatchMatMulV2 BatchMatMulV3 BatchNormWithGlobalNormalization BatchToSpace BatchToSpaceND BiasAdd BiasAddV1 Bitcast
BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastTo Bucketize Cast Ceil CheckNumerics ClipByValue
CombinedNonMaxSuppression Concat ConcatOffset ConcatV2 Const Conv2D Conv2DBackpropInput Conv3D Cos Cosh
CropAndResize Cross Cumprod Cumsum DepthToSpace DepthwiseConv2dNative DepthwiseConv2dNativeBackpropInput DivNoNan
Einsum Elu EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod FusedBatchNorm
FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 GenerateBoundingBoxProposals Greater GreaterEqual
Identity IdentityN InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu LeftShift Less LessEqual LinSpace Log
Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart MatrixDiag Max MaxPool MaxPool3D MaxPoolV2
MaxPoolWithArgmax Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan Neg NoOp NonMaxSuppression NonMaxSuppressionV2
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NotEqual OneHot OnesLike
Pack Pad PadV2 ParallelConcat Placeholder PlaceholderWithDefault Pow PreventGradient Prod RandomStandardNormal
RandomUniform RandomUniformInt Range Rank RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic
ResizeBilinear ResizeNearestNeighbor Reverse ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt ScatterNd
Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax Softplus Softsign SpaceToBatch
SpaceToBatchND SpaceToDepth SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze StopGradient
StridedSlice Sub Sum Tan Tanh TensorScatterAdd TensorScatterUpdate Tile TopK TopKV2 Transpose TruncateDiv
TruncateMod Unique UniqueV2 Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentSum Where Xdivy Xlog1py Xlogy
ZerosLike FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantizeV2
QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
""")
# Operators whose values may be lists of tensors (types RESOURCE and VARIANT) besides numbers.
_FLOW = _names("""
Enter Exit LoopCond Merge NextIteration Switch Identity IdentityN If StatelessIf Case StatelessCase While
StatelessWhile PartitionedCall StatefulPartitionedCall
""")
# Lists of tensors, used in loops; they are in memory only, and end with the run of the graph.
_LISTS = _names("""
TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayGatherV3 TensorArrayScatterV3 TensorArraySizeV3
TensorArraySplitV3 TensorArrayConcatV3 TensorArrayCloseV3 EmptyTensorList TensorListReserve TensorListFromTensor
TensorListStack TensorListGetItem TensorListSetItem TensorListLength TensorListPushBack TensorListPopBack
TensorListGather TensorListScatterV2 TensorListConcatV2 TensorListElementShape TensorListResize
""")
# The message of Assert and the constants for it; other operators may not take text.
TEXT = frozenset({"Assert", "Const"})

TENSORFLOW = _COMPUTING | _FLOW | _LISTS | TEXT
LIST_PASSING = _FLOW
# Operators whose attributes may name a function of the graph's library.
CALLING = _names("If StatelessIf Case StatelessCase While StatelessWhile PartitionedCall StatefulPartitionedCall")

# ONNX's own operators, without those for text, for decoding pictures and for training.
_ONNX = _names("""
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil
Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger
ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout
DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu
Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow
HannWindow HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max
MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg NonMaxSuppression
NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul
QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu
SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink
Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze Sub Sum
SwiGLU Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
""")
# Operators that onnxruntime's optimizers and quantizers write, for convolutions and attention; not EPContext, which
# names libraries and files.
_MICROSOFT = _names("""
Attention BiasAdd BiasGelu BiasSoftmax BiasSplitGelu ConvTransposeWithDynamicPads CropAndResize DequantizeLinear
DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm
FusedMatMul FusedMatMulActivation GatherBlockQuantized GatherND Gelu GemmFastGelu GridSample GroupNorm Inverse
LayerNormalization MatMulBnb4 MatMulIntegerToFloat MatMulNBits MulInteger MultiHeadAttention NhwcConv NhwcFusedConv
NhwcMaxPool Pad QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool
QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu
Range RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul Trilu
Unique
""")
_NCHWC = _names("AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample")

# Allowed operators by domain.
ONNX = {
    "": _ONNX,
    "ai.onnx": _ONNX,
    "com.microsoft": _MICROSOFT,
    "com.microsoft.nchwc": _NCHWC,
}
# Prefixes of the domains that ONNX, onnxruntime, its providers and TensorRT's plugins use for their own operators.
RESERVED_DOMAINS = ("ai.onnx", "com.", "trt.", "org.pytorch")
