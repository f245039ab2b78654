"""MyCaffe's prototxt: names that it writes and that change nothing in netforge. They are noted once, not refused."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

_LAYER_BLOCKS = (
    "accuracy_mape_param annotated_data_param attention_param categorical_trans_param causal_self_attention_param "
    "cfc_param cfc_unit_param channel_embedding_param constant_param convolution_octave_param copy_param "
    "data_normalizer_param data_temporal_param detection_evaluate_param detection_output_param fc_param gather_param "
    "gelu_param glu_param gradient_scale_param gram_param grn_param gateaddnorm_param interp_param labelmapping_param "
    "layer_norm_param linear_param lstm_attention_param lstm_param lstm_simple_param ltc_unit_param math_param "
    "mean_error_loss_param merge_param mish_param model_data_param multiboxloss_param multihead_attention_param "
    "multihead_attention_interp_param nhits_block_param nhits_stack_param nll_loss_param normalization1_param "
    "normalization2_param numeric_trans_param one_hot_param permute_param positional_encoder_param prior_box_param "
    "quantile_accuracy_param quantile_loss_param reshape_temporal_param revin_param rms_norm_param scalar_param "
    "serf_param sharpe_accuracy_param sharpe_loss_param silu_param smooth_l1_loss_param spatial_attention_param "
    "squeeze_param text_data_param tokenized_data_param tokenized_data_pairs_param pretokenized_data_param "
    "transformer_block_param transpose_param tv_loss_param unpooling_param unsqueeze_param varselnet_param "
    "video_data_param z_score_param"
)

_NAMES: dict[str, str] = {
    "NetParameter": "enable_memory_stats enable_lora enable_lora_load_only model_path "
    "project_id solver_count solver_rank",
    "SolverParameter": "use_training_net_for_testing verbose_optimization_output test_type snapshot_update_method "
    "output_image_information enable_gradient_display skip_accuracy_average gradient_accumulation",
    "LayerParameter": "group_start use_halfsize connect_loss_event weight_adapter freeze_learning_override "
    + _LAYER_BLOCKS,
    "ParamSpec": "active",
    "DataParameter": "display_timing primary_data synchronize_with synchronize_target output_image_information "
    "enable_debug_output data_debug_param score_norm_param time_align",
    "ResizeParameter": "height_scale width_scale",
    "DistortionParameter": "use_gpu",
    "ConvolutionParameter": "cudnn_workspace_limit cudnn_worspace_allow_on_groups cudnn_workspace_allow_on_groups "
    "cudnn_enable_tensor_cores",
    "PoolingParameter": "reshape_algorithm",
    "InnerProductParameter": "enable_noise sigma_init bias_grad_scale min_top_axes output_contains_predictions",
    "DropoutParameter": "seed",
    "SoftmaxParameter": "algorithm algorithm_train",
    "DummyDataParameter": "force_refill primary_data",
}
_IGNORED = {message: frozenset(names.split()) for message, names in _NAMES.items()}
_EVERYWHERE = frozenset({"active", "option"})


def is_ignored(descriptor: Descriptor, name: str) -> bool:
    """Whether `name` is a field that MyCaffe writes into this message and that has no effect in netforge."""
    if name in _IGNORED.get(descriptor.name, ()):
        return True
    return name in _EVERYWHERE and descriptor.name.endswith("Parameter") and descriptor.name not in _TOP_LEVEL


_TOP_LEVEL = frozenset({"NetParameter", "SolverParameter", "LayerParameter", "V1LayerParameter", "V0LayerParameter"})
