/* fully_connected, int8, over blocks of four inputs, four at a time (src/fully_connected_mve.h). */
#include "src/fully_connected_mve.h"

fedtiny_status fedtiny_fully_connected_block1x4_s8_mve(const fedtiny_call *call) {
    return fedtiny_fully_connected_run(call, fedtiny_fully_connected_blocks);
}
