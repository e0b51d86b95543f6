"""The operators that a program may use, by their ATen names. What is not listed is refused.

The rule for a name to be here: the result follows from the operands alone, and nothing but the result is written. So
these are left out on purpose:

    from_file                       reads files
    empty, resize_, new_empty       hand out uninitialised memory, which may hold another job's weights
    rand, bernoulli, …              draw random numbers: one question must always have one answer
    set_, as_strided,               reinterpret storage, beyond a tensor's own bounds
    _reshape_alias
    overloads with `out`            write into an operand; those that have no `out` in their names, such as
                                    `sort.values`, are refused when a program is bound (`contracts.check_overload`)
    cond, while_loop, …             higher-order operators carry programs of their own

Whatever no exported network was seen to need is left out too. `dropout` and `alpha_dropout` are listed because programs
exported in evaluation mode contain them with train=False, where they return their input.
"""

_ELEMENTWISE = """
    abs acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil
    celu clamp clamp_max clamp_min clip copysign cos cosh deg2rad div elu eq erf erfc exp exp2 expm1 fill floor
    floor_divide fmod frac ge gelu glu gt hardshrink hardsigmoid hardswish hardtanh hypot isfinite isinf isnan
    leaky_relu lerp le log log10 log1p log2 log_sigmoid logaddexp logical_and logical_not logical_or logical_xor lt
    masked_fill maximum minimum mish mul ne neg nan_to_num polar pow prelu rad2deg real imag reciprocal relu relu6
    remainder round rsqrt rsub selu sigmoid sign silu sin sinc sinh softplus softshrink sqrt square sub tan
    tanh threshold true_divide trunc where xlogy
"""
_REDUCTIONS = """
    all amax amin any argmax argmin argsort cummax cumprod cumsum linalg_norm linalg_vector_norm logcumsumexp logsumexp
    max mean median min norm prod sort std std_mean sum topk var var_mean aminmax
"""
_SHAPES = """
    alias broadcast_to cat chunk clone col2im concat constant_pad_nd contiguous copy detach detach_copy diag diagonal
    expand expand_as flatten flip gather hstack im2col index index_add index_copy index_fill index_put index_select item
    lift_fresh lift_fresh_copy masked_scatter masked_select meshgrid moveaxis movedim narrow nonzero numpy_T
    one_hot pad permute pixel_shuffle pixel_unshuffle positive reflection_pad1d reflection_pad2d reflection_pad3d
    repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape resolve_conj resolve_neg roll
    rot90 scatter scatter_add scatter_reduce select select_scatter slice slice_scatter split split_with_sizes
    squeeze stack swapaxes swapdims t take_along_dim tensor_split tile to transpose tril triu type_as
    unbind unflatten unfold unsqueeze view view_as vstack _to_copy _unsafe_view zero
"""
_FACTORIES = """
    arange eye full full_like linspace new_full new_ones new_zeros ones ones_like scalar_tensor tril_indices
    triu_indices zeros zeros_like
"""
_LAYERS = """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d addmm addmv
    alpha_dropout avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bilinear bmm cdist channel_shuffle conv1d conv2d
    conv3d conv_transpose1d conv_transpose2d convolution cosine_similarity dot dropout einsum embedding
    feature_alpha_dropout feature_dropout group_norm grid_sampler grid_sampler_2d gru instance_norm layer_norm linear
    log_softmax logit lstm matmul max_pool1d max_pool2d max_pool2d_with_indices max_pool3d mm mv native_batch_norm
    native_group_norm native_layer_norm outer pairwise_distance rms_norm rnn_relu rnn_tanh
    scaled_dot_product_attention softmax tensordot upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d _adaptive_avg_pool2d _fused_rms_norm _log_softmax
    _native_batch_norm_legit_no_training _scaled_dot_product_flash_attention_for_cpu _softmax
    _safe_softmax
"""
_SHAPE_ARITHMETIC = """
    _operator.add _operator.and_ _operator.eq _operator.floordiv _operator.ge _operator.gt _operator.le _operator.lt
    _operator.mod _operator.mul _operator.ne _operator.neg _operator.not_ _operator.or_ _operator.sub
    _operator.truediv _operator.getitem
"""
_SIZES = "sym_size sym_numel sym_stride sym_storage_offset"

ATEN = frozenset(f"{_ELEMENTWISE}{_REDUCTIONS}{_SHAPES}{_FACTORIES}{_LAYERS}{_SIZES}".split())
"""Names of `torch.ops.aten`; their in-place variants, with a trailing underscore, are meant too."""

ARITHMETIC = frozenset(_SHAPE_ARITHMETIC.split())
"""What is done with sizes, in Python."""

CHECKS = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)
"""Checks that export leaves in a program. They are skipped, since a wrong shape fails by itself."""

NEURONS = frozenset({"conv1d", "conv2d", "conv3d", "convolution", "linear", "addmm"})
"""Operators whose outputs count as neurons in differential testing."""
