/* fully_connected, int8, dense (src/fully_connected_mve.h). */
#include "src/fully_connected_mve.h"

fedtiny_status fedtiny_fully_connected_dense_s8_mve(const fedtiny_call *call) {
    return fedtiny_fully_connected_run(call, fedtiny_fully_connected_dense_mve);
}
