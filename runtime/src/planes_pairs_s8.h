/* Convolution over pairs of nonzeros on channel planes, int8: for conv2d and depthwise_conv2d. */
#ifndef FEDTINY_PLANES_PAIRS_S8_H
#define FEDTINY_PLANES_PAIRS_S8_H

#include "fedtiny/fedtiny.h"

/* A whole layer; the parameters are a fedtiny_planes_pairs_s8_params. */
fedtiny_status fedtiny_planes_pairs_s8(const fedtiny_call *call);

#endif
