/* Convolution over nonzeros on padded channel planes, int8: for conv2d and depthwise_conv2d. */
#ifndef FEDTINY_PLANES_CONV_S8_H
#define FEDTINY_PLANES_CONV_S8_H

#include "fedtiny/fedtiny.h"

/* A whole layer; the parameters are a fedtiny_planes_conv_s8_params. */
fedtiny_status fedtiny_planes_conv_s8(const fedtiny_call *call);

#endif
