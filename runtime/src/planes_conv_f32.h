/* Convolution over nonzeros on padded channel planes, float: for conv2d and depthwise_conv2d. */
#ifndef FEDTINY_PLANES_CONV_F32_H
#define FEDTINY_PLANES_CONV_F32_H

#include "fedtiny/fedtiny.h"

/* A whole layer; the parameters are a fedtiny_planes_conv_f32_params. */
fedtiny_status fedtiny_planes_conv_f32(const fedtiny_call *call);

#endif
