/* The firmware: answers the framed protocol of PROTOCOL.md for the model that it is linked with. */
#include "firmware.h"

#include "model.h"

enum {
    VERSION = 1,
    MAX_PAYLOAD = 512,
    HEADER = 2, /* message type, sequence number */
    CHECKSUM = 4,
    MAX_BODY = HEADER + MAX_PAYLOAD + CHECKSUM,
    LAYER_RECORD = 12
};

enum { HELLO = 0x01, LOAD = 0x02, INVOKE = 0x03, OUTPUT = 0x04, LAYERS = 0x05, REPLY = 0x80 };

enum {
    ERROR = 0xff,
    ERROR_UNKNOWN = 1, /* no such message; detail: its type */
    ERROR_LENGTH = 2,  /* the payload has the wrong length; detail: that length */
    ERROR_RANGE = 3,   /* outside of the input, output or layers; detail: the offset */
    ERROR_MODEL = 4,   /* the runtime refused; detail: its status */
    ERROR_TRACE = 5,   /* no traced inference has run */
    ERROR_FAULT = 6    /* the processor faulted; detail: the program counter */
};

static MODEL_ARENA(arena);
static uint8_t input[MODEL_INPUT_BYTES] __attribute__((aligned(16)));
static uint8_t output[MODEL_OUTPUT_BYTES] __attribute__((aligned(16)));
static uint32_t layer_digest[MODEL_LAYERS];
static uint64_t layer_ticks[MODEL_LAYERS];
static uint8_t traced;

static uint8_t request[MAX_BODY];
static uint8_t reply[MAX_BODY];
static uint16_t reply_bytes;
static uint8_t sequence;

/* CRC-32 as in Ethernet and zlib; start with 0 and feed the result back to go on. */
static uint32_t crc32(uint32_t crc, const void *data, uint32_t bytes) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const uint8_t *byte = data;
    crc = ~crc;
    while (bytes-- > 0) {
        crc ^= *byte++;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static void put(uint64_t value, uint16_t bytes) {
    for (; bytes > 0; bytes--, value >>= 8) {
        reply[reply_bytes++] = (uint8_t)value;
    }
}

static uint32_t get(const uint8_t *data, uint16_t bytes) {
    uint32_t value = 0;
    while (bytes-- > 0) {
        value = value << 8 | data[bytes];
    }
    return value;
}

static void begin(uint8_t type) {
    reply_bytes = 0;
    put(type, 1);
    put(sequence, 1);
}

/* Sends the reply as one COBS frame between zero bytes. */
static void send(void) {
    uint16_t at = 0;
    uint16_t skipped;
    put(crc32(0, reply, reply_bytes), CHECKSUM);
    board_putc(0);
    do {
        uint16_t run = 0;
        while (at + run < reply_bytes && run < 254 && reply[at + run] != 0) {
            run++;
        }
        board_putc((uint8_t)(run + 1));
        for (uint16_t i = 0; i < run; i++) {
            board_putc(reply[at + i]);
        }
        skipped = run < 254; /* the group stands for the zero after it too */
        at = (uint16_t)(at + run + skipped);
    } while (at < reply_bytes + skipped);
    board_putc(0);
    board_flush();
}

static void fail(uint8_t code, uint32_t detail) {
    begin(ERROR);
    put(code, 1);
    put(detail, 4);
}

void firmware_fault(uint32_t address) {
    fail(ERROR_FAULT, address);
    send();
    for (;;) {
    }
}

/* Receives one frame and undoes COBS. Returns the body's length without its checksum, 0 for a
 * damaged frame, negative at the end of the stream. */
static int32_t receive(void) {
    uint16_t bytes = 0; /* decoded; counts on past the end of the buffer, which is too long */
    uint16_t group = 0; /* bytes that are left of the current COBS group */
    uint8_t zero = 0;   /* a zero follows the current group, when another group does */
    int next;
    while ((next = board_getc()) > 0) {
        uint8_t byte = (uint8_t)next;
        if (group == 0) {
            const uint8_t pending = zero;
            group = (uint16_t)(byte - 1);
            zero = byte != 255;
            if (!pending) {
                continue;
            }
            byte = 0;
        } else {
            group--;
        }
        if (bytes < MAX_BODY) {
            request[bytes] = byte;
        }
        bytes = bytes <= MAX_BODY ? (uint16_t)(bytes + 1) : bytes;
    }
    if (next < 0) {
        return next;
    }
    if (group > 0 || bytes > MAX_BODY || bytes < HEADER + CHECKSUM) {
        return 0;
    }
    bytes = (uint16_t)(bytes - CHECKSUM);
    return crc32(0, request, bytes) == get(request + bytes, CHECKSUM) ? (int32_t)bytes : 0;
}

/* What the host compares with the image that it built. */
static uint32_t identity(void) {
    uint32_t crc = crc32(0, model.constants, model.constants_bytes);
    crc = crc32(crc, model.program, model.n_entries * (uint32_t)sizeof(uint16_t));
    return crc32(crc, model.row_address, model.n_rows * (uint32_t)sizeof(uint16_t));
}

static void before_step(void *context, const fedtiny_call *call) {
    (void)call;
    *(uint64_t *)context = board_ticks();
}

/* Adds the rows that are final after this step to the layer's digest: steps may overlap in what
 * they write, and a layer that rewrites the same rows has them final only at its last step. */
static void after_step(void *context, const fedtiny_call *call) {
    const uint64_t now = board_ticks();
    const fedtiny_layer *layer = &model.layers[call->layer];
    const fedtiny_access *rows = &layer->output;
    const uint8_t last = call->step + 1 == layer->steps;
    const uint16_t ready = last || rows->advance > rows->window ? rows->window : rows->advance;
    const int32_t first = rows->start + (int32_t)call->step * rows->advance;
    layer_ticks[call->layer] += now - *(const uint64_t *)context;
    for (int32_t row = first; row < first + ready; row++) {
        const void *data = fedtiny_row(&model, arena, rows->tensor, row);
        if (data != NULL) {
            layer_digest[call->layer] =
                crc32(layer_digest[call->layer], data, model.tensors[rows->tensor].row_bytes);
        }
    }
}

static fedtiny_status invoke_traced(void) {
    uint64_t started = 0;
    const fedtiny_hooks hooks = {before_step, after_step, &started};
    for (uint16_t i = 0; i < MODEL_LAYERS; i++) {
        layer_digest[i] = 0;
        layer_ticks[i] = 0;
    }
    const fedtiny_status status = model_invoke_hooked(arena, input, output, &hooks);
    traced = status == FEDTINY_OK;
    return status;
}

static void answer_hello(void) {
    put(VERSION, 1);
    put(sizeof(void *), 1);
    put(MAX_PAYLOAD, 2);
    put(identity(), 4);
    put(MODEL_ARENA_BYTES, 4);
    put(MODEL_INPUT_BYTES, 4);
    put(MODEL_OUTPUT_BYTES, 4);
    put(MODEL_LAYERS, 2);
    put(board_ticks_hz(), 4);
}

static void answer_load(const uint8_t *payload, uint32_t bytes) {
    const uint32_t offset = get(payload, 4);
    bytes -= 4;
    if (offset > MODEL_INPUT_BYTES || bytes > MODEL_INPUT_BYTES - offset) {
        fail(ERROR_RANGE, offset);
        return;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        input[offset + i] = payload[4 + i];
    }
}

static void answer_invoke(uint8_t trace) {
    uint64_t ticks;
    uint32_t stack;
    fedtiny_status status;
    board_stack_paint();
    ticks = board_ticks();
    status = trace ? invoke_traced() : model_invoke(arena, input, output);
    ticks = board_ticks() - ticks;
    stack = board_stack_bytes();
    if (status != FEDTINY_OK) {
        fail(ERROR_MODEL, (uint32_t)status);
        return;
    }
    put(ticks, 8);
    put(stack, 4);
}

static void answer_output(uint32_t offset, uint32_t bytes) {
    if (bytes > MAX_PAYLOAD || offset > MODEL_OUTPUT_BYTES || bytes > MODEL_OUTPUT_BYTES - offset) {
        fail(ERROR_RANGE, offset);
        return;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        put(output[offset + i], 1);
    }
}

static void answer_layers(uint32_t first, uint32_t count) {
    if (!traced) {
        fail(ERROR_TRACE, 0);
        return;
    }
    if (count > MAX_PAYLOAD / LAYER_RECORD || first + count > MODEL_LAYERS) {
        fail(ERROR_RANGE, first);
        return;
    }
    for (uint32_t i = first; i < first + count; i++) {
        put(layer_digest[i], 4);
        put(layer_ticks[i], 8);
    }
}

static void answer(uint32_t bytes) {
    const uint8_t type = request[0];
    const uint8_t *payload = request + HEADER;
    bytes -= HEADER;
    sequence = request[1];
    begin((uint8_t)(type | REPLY));
    if (type == HELLO && bytes == 0) {
        answer_hello();
    } else if (type == LOAD && bytes >= 4) {
        answer_load(payload, bytes);
    } else if (type == INVOKE && bytes == 1) {
        const uint8_t trace = payload[0];
        send(); /* an empty reply: the inference has begun, the host may wait longer now */
        begin((uint8_t)(type | REPLY));
        answer_invoke(trace);
    } else if (type == OUTPUT && bytes == 6) {
        answer_output(get(payload, 4), get(payload + 4, 2));
    } else if (type == LAYERS && bytes == 4) {
        answer_layers(get(payload, 2), get(payload + 2, 2));
    } else if (type >= HELLO && type <= LAYERS) {
        fail(ERROR_LENGTH, bytes);
    } else {
        fail(ERROR_UNKNOWN, type);
    }
    send();
}

int main(void) {
    int32_t bytes;
    board_init();
    while ((bytes = receive()) >= 0) {
        if (bytes > 0) {
            answer((uint32_t)bytes);
        }
    }
    return 0;
}
