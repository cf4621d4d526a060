/* How the kernels of gather.h choose their loops: by parameters, among the parts of a program. */
#ifndef FEDTINY_GATHER_LAYERS_H
#define FEDTINY_GATHER_LAYERS_H

#include "fedtiny/parts.h"
#include "src/gather.h"

static inline fedtiny_status fedtiny_gather_sparse_layer(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_NARROW_RELU
    if (p->kind == FEDTINY_GATHER_NARROW && p->relu) {
        function = fedtiny_gather_narrow_relu;
    }
#endif
#if FEDTINY_PART_GATHER_NARROW
    if (p->kind == FEDTINY_GATHER_NARROW && !p->relu) {
        function = fedtiny_gather_narrow;
    }
#endif
#if FEDTINY_PART_GATHER_WIDE_RELU
    if (p->kind == FEDTINY_GATHER_WIDE && p->relu) {
        function = fedtiny_gather_wide_relu;
    }
#endif
#if FEDTINY_PART_GATHER_WIDE
    if (p->kind == FEDTINY_GATHER_WIDE && !p->relu) {
        function = fedtiny_gather_wide;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}

static inline fedtiny_status fedtiny_gather_block1x4_layer(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_BLOCKS_RELU
    if (p->relu) {
        function = fedtiny_gather_blocks_relu;
    }
#endif
#if FEDTINY_PART_GATHER_BLOCKS
    if (!p->relu) {
        function = fedtiny_gather_blocks;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}

static inline fedtiny_status fedtiny_gather_dense_layer(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_DENSE_RELU
    if (p->relu) {
        function = fedtiny_gather_dense_relu;
    }
#endif
#if FEDTINY_PART_GATHER_DENSE
    if (!p->relu) {
        function = fedtiny_gather_dense;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}

static inline fedtiny_status fedtiny_gather_depthwise_layer(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_DEPTHWISE_RELU
    if (p->relu) {
        function = fedtiny_gather_depthwise_relu;
    }
#endif
#if FEDTINY_PART_GATHER_DEPTHWISE
    if (!p->relu) {
        function = fedtiny_gather_depthwise;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_depthwise);
}

#endif
