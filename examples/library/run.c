/* Runs a packed model once: run MODEL.fedtiny INPUT OUTPUT, files of raw values, one tensor after
 * another. Prints what each layer took, and the most memory that the process had. */
#include <fedtiny/library.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 16 };

static void print_time(void *context, uint32_t layer, uint64_t nanoseconds) {
    fedtiny_tensor_info info = {.struct_bytes = sizeof info};
    if (fedtiny_network_layer(context, layer, &info) == FEDTINY_RESULT_OK) {
        printf("%10.3f ms  %s (%s)\n", (double)nanoseconds / 1e6, info.name, info.kernel);
    }
}

/* Buffers for `count` tensors; 0 where one cannot be had. */
static int allocate(const fedtiny_network *network, uint32_t count,
                    fedtiny_result (*describe)(const fedtiny_network *, uint32_t,
                                               fedtiny_tensor_info *),
                    void **buffers, size_t *sizes) {
    for (uint32_t i = 0; i < count; i++) {
        fedtiny_tensor_info info = {.struct_bytes = sizeof info};
        if (i == MOST_TENSORS || describe(network, i, &info) != FEDTINY_RESULT_OK) {
            return 0;
        }
        sizes[i] = info.bytes;
        buffers[i] = malloc(info.bytes);
        if (buffers[i] == NULL) {
            return 0;
        }
    }
    return 1;
}

/* Of this program alone; getrusage would count what started it. 0 where there is no Linux. */
static long peak_kib(void) {
    char line[256];
    long found = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            found = strtol(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return found;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: %s MODEL.fedtiny INPUT OUTPUT\n", words[0]);
        return 2;
    }
    fedtiny_network *network;
    fedtiny_result result = fedtiny_network_open(words[1], 0, &network);
    if (result != FEDTINY_RESULT_OK) {
        fprintf(stderr, "%s: %s\n", words[1], fedtiny_result_text(result));
        return 1;
    }
    void *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
    size_t input_bytes[MOST_TENSORS], output_bytes[MOST_TENSORS];
    const uint32_t n_inputs = fedtiny_network_inputs(network);
    const uint32_t n_outputs = fedtiny_network_outputs(network);
    FILE *from = fopen(words[2], "rb"), *to = fopen(words[3], "wb");
    int good = from != NULL && to != NULL &&
               allocate(network, n_inputs, fedtiny_network_input, inputs, input_bytes) &&
               allocate(network, n_outputs, fedtiny_network_output, outputs, output_bytes);
    for (uint32_t i = 0; good && i < n_inputs; i++) {
        good = fread(inputs[i], 1, input_bytes[i], from) == input_bytes[i];
    }
    if (!good) {
        fprintf(stderr, "%s, %s: no such inputs and outputs\n", words[2], words[3]);
        return 1;
    }
    fedtiny_network_set_timer(network, print_time, network);
    result = fedtiny_network_invoke(network, (const void *const *)inputs, outputs);
    if (result != FEDTINY_RESULT_OK) {
        fprintf(stderr, "%s\n", fedtiny_result_text(result));
        return 1;
    }
    for (uint32_t i = 0; i < n_outputs; i++) {
        good = good && fwrite(outputs[i], 1, output_bytes[i], to) == output_bytes[i];
    }
    good = fclose(to) == 0 && good;
    printf("vectors %s, arena %zu bytes, peak %ld KiB\n", fedtiny_vectors(),
           fedtiny_network_arena_bytes(network), peak_kib());
    fedtiny_network_destroy(network);
    return good ? 0 : 1;
}
