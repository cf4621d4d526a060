/* Kernels of the library: X(name, parameter struct, offset words, needs dot). Generated from kernels.toml by
 * `python -m fedtiny.runtime.library.listing`; do not edit. */

#ifndef FEDTINY_KERNEL_LIST_H
#define FEDTINY_KERNEL_LIST_H

#include "fedtiny/kernels.h"

#define FEDTINY_SCALAR_KERNEL_LIST(X) \
    X(conv2d_s8, conv2d_s8, 0xfu, 0) \
    X(conv2d_f32, conv2d_f32, 0x3u, 0) \
    X(conv2d_im2col_s8, conv2d_im2col_s8, 0xfu, 0) \
    X(conv2d_csr_s8, conv2d_csr_s8, 0x1fu, 0) \
    X(conv2d_csr_taps_s8, conv2d_csr_taps_s8, 0x1fu, 0) \
    X(conv2d_bitmap_s8, conv2d_bitmap_s8, 0x1fu, 0) \
    X(conv2d_csr_f32, conv2d_csr_f32, 0xfu, 0) \
    X(conv2d_lanes_s8, pairs_s8, 0x1u, 0) \
    X(conv2d_lanes_rows_s8, pairs_s8, 0x1u, 0) \
    X(depthwise_conv2d_s8, depthwise_conv2d_s8, 0xfu, 0) \
    X(depthwise_conv2d_f32, depthwise_conv2d_f32, 0x3u, 0) \
    X(depthwise_conv2d_tile_s8, depthwise_conv2d_tile_s8, 0x1fu, 0) \
    X(depthwise_conv2d_lanes_s8, pairs_s8, 0x1u, 0) \
    X(depthwise_conv2d_lanes_rows_s8, pairs_s8, 0x1u, 0) \
    X(fully_connected_double_s8, fully_connected_double_s8, 0x7u, 0) \
    X(fully_connected_f32, fully_connected_f32, 0x3u, 0) \
    X(fully_connected_s8, fully_connected_s8, 0x3u, 0) \
    X(fully_connected_channels_s8, fully_connected_channels_s8, 0x7u, 0) \
    X(fully_connected_csr_s8, fully_connected_csr_s8, 0x7u, 0) \
    X(fully_connected_bitmap_s8, fully_connected_bitmap_s8, 0x7u, 0) \
    X(fully_connected_csr_f32, fully_connected_csr_f32, 0xfu, 0) \
    X(add_s8, add_s8, 0x10u, 0) \
    X(add_f32, binary_f32, 0x10u, 0) \
    X(add_line_s8, add_line_s8, 0x0u, 0) \
    X(average_pool2d_s8, average_pool2d_s8, 0x0u, 0) \
    X(average_pool2d_f32, average_pool2d_f32, 0x0u, 0) \
    X(global_average_pool2d_s8, global_average_pool2d_s8, 0x0u, 0) \
    X(global_average_pool2d_f32, global_average_pool2d_f32, 0x0u, 0) \
    X(softmax_s8, softmax_s8, 0x0u, 0) \
    X(softmax_f32, softmax_f32, 0x0u, 0) \
    X(sub_s8, sub_s8, 0x10u, 0) \
    X(sub_f32, sub_f32, 0x10u, 0) \
    X(mul_s8, mul_s8, 0x10u, 0) \
    X(mul_f32, binary_f32, 0x10u, 0) \
    X(unary_s8, unary_s8, 0x1u, 0) \
    X(unary_f32, unary_f32, 0x0u, 0) \
    X(max_pool2d_s8, max_pool2d_s8, 0x0u, 0) \
    X(max_pool2d_f32, max_pool2d_f32, 0x0u, 0) \
    X(global_max_pool2d_s8, global_max_pool2d_s8, 0x0u, 0) \
    X(global_max_pool2d_f32, global_max_pool2d_f32, 0x0u, 0) \
    X(concat_s8, concat, 0x0u, 0) \
    X(concat_f32, concat, 0x0u, 0) \
    X(mean_s8, mean_s8, 0x0u, 0) \
    X(mean_f32, mean_f32, 0x0u, 0) \
    X(pad_s8, pad_s8, 0x0u, 0) \
    X(pad_f32, pad_f32, 0x0u, 0) \
    X(resize_nearest_s8, resize_nearest, 0x3u, 0) \
    X(resize_nearest_f32, resize_nearest, 0x3u, 0) \
    X(resize_bilinear_s8, resize_bilinear_s8, 0xfu, 0) \
    X(resize_bilinear_f32, resize_bilinear_f32, 0xfu, 0) \
    X(transpose_s8, strided, 0x0u, 0) \
    X(transpose_f32, strided, 0x0u, 0) \
    X(broadcast_s8, strided, 0x0u, 0) \
    X(broadcast_f32, strided, 0x0u, 0) \
    X(transpose_conv2d_s8, transpose_conv2d_s8, 0xfu, 0) \
    X(transpose_conv2d_f32, transpose_conv2d_f32, 0x3u, 0)

#define FEDTINY_VECTOR_KERNEL_LIST(X) \
    X(hwc_to_chw_f32, convert_layout, 0x0u, 0) \
    X(chw_to_hwc_f32, convert_layout, 0x0u, 0) \
    X(conv2d_planes_f32, planes_conv_f32, 0xfu, 0) \
    X(conv2d_planes_blocked_f32, planes_blocked_f32, 0x3fu, 0) \
    X(conv2d_planes_dense_f32, planes_dense_f32, 0x7u, 0) \
    X(depthwise_conv2d_planes_f32, planes_conv_f32, 0xfu, 0) \
    X(add_planes_f32, planes_add_f32, 0x0u, 0) \
    X(global_average_pool2d_planes_f32, global_average_pool2d_planes_f32, 0x0u, 0) \
    X(fully_connected_table_s8, fully_connected_table_s8, 0xfu, 0) \
    X(hwc_to_chw_s8, convert_layout, 0x0u, 0) \
    X(chw_to_hwc_s8, convert_layout, 0x0u, 0) \
    X(conv2d_planes_s8, planes_conv_s8, 0xffu, 0) \
    X(conv2d_planes_dense_s8_dot, planes_dense_s8, 0x1fu, 1) \
    X(depthwise_conv2d_planes_s8, planes_conv_s8, 0xffu, 0) \
    X(conv2d_planes_pairs_s8, planes_pairs_s8, 0x7fu, 0) \
    X(depthwise_conv2d_planes_pairs_s8, planes_pairs_s8, 0x7fu, 0) \
    X(add_planes_s8, planes_add_s8, 0x0u, 0) \
    X(add_planes_line_s8, planes_add_line_s8, 0x0u, 0) \
    X(global_average_pool2d_planes_s8, global_average_pool2d_planes_s8, 0x0u, 0)

#endif
