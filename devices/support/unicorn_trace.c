/* What the emulator calls for every basic block and every memory access. It counts instructions in
 * total and per layer, keeps high-water marks, checks every address, and takes each layer's digest.
 * emulation.py holds the same in Python, for machines without a compiler; it explains the fields.
 * A callback in Python costs about a hundred times as much. */
#include <stddef.h>
#include <stdint.h>

enum { READ = 1, WRITE = 2 };
enum { FAULT_NONE, FAULT_ACCESS, FAULT_LIMIT, FAULT_CODE };
enum { UNICORN_MEM_WRITE = 17, UNICORN_MEM_WRITE_UNMAPPED = 20 };
enum { LINE_SHIFT = 3 }; /* of the bytes that reads of flash are counted by */

typedef struct {
    uint64_t begin, end, lowest, highest;
    uint32_t allowed;
} trace_region;

typedef struct {
    uint64_t instructions, flash_lines;
    uint32_t first_row, rows, row_bytes, window, advance, steps, digest;
    int32_t start;
} trace_layer;

typedef struct {
    int (*stop)(void *engine);
    int (*read_register)(void *engine, int id, void *value);
    int (*write_register)(void *engine, int id, const void *value);
    const uint8_t *code;
    uint32_t *blocks;
    const uint8_t *entries;
    trace_region *regions;
    trace_layer *layers;
    const uint32_t *row_offsets;
    const uint8_t *arena;
    const uint8_t *stack;
    uint32_t *runs, *taken;
    uint64_t code_begin, code_bytes, stack_begin, limit;
    uint64_t instructions, return_address, fault_address, fault_pc;
    uint32_t n_regions, n_layers, thumb;
    uint32_t first_argument, link_register, program_counter, status, call_offset;
    uint32_t fault, fault_size, fault_write;
    int32_t layer, step;
    uint32_t conditional; /* bit 0: this block has IT instructions, bit 1: the one before had */
    uint32_t previous, line;
    uint64_t previous_end;
} trace;

static uint32_t crc32(uint32_t crc, const uint8_t *data, uint32_t bytes) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    while (bytes-- > 0) {
        crc ^= *data++;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static uint64_t register_value(trace *t, void *engine, uint32_t id) {
    uint64_t value = 0;
    t->read_register(engine, (int)id, &value);
    return value;
}

static void fail(trace *t, void *engine, uint32_t fault, uint64_t address) {
    if (t->fault == FAULT_NONE) {
        t->fault = fault;
        t->fault_address = address;
        t->fault_pc = register_value(t, engine, t->program_counter);
    }
    t->stop(engine);
}

/* size << 16 | whether it has an IT instruction << 15 | instructions, of the block at an offset. */
static uint32_t describe(const trace *t, uint64_t offset, uint32_t size) {
    uint32_t instructions = 0, conditional = 0;
    if (!t->thumb) {
        return size << 16 | size / 4;
    }
    for (uint64_t at = offset; at < offset + size; instructions++) {
        const uint32_t half = (uint32_t)t->code[at] | (uint32_t)t->code[at + 1] << 8;
        conditional |= (half & 0xff00) == 0xbf00 && (half & 0xf) != 0;
        at += half >> 11 >= 0x1d ? 4 : 2;
    }
    return size << 16 | conditional << 15 | instructions;
}

/* Before it calls us for an access inside of an IT block, the emulator writes the block's state to
 * the status register, where the code it has translated expects none: the instructions after the
 * translated block would be skipped. So take it out again. */
static void clear_it_state(trace *t, void *engine) {
    const uint32_t it_state = 0x0600fc00;
    uint32_t status = (uint32_t)register_value(t, engine, t->status);
    if ((status & it_state) != 0) {
        status &= ~it_state;
        t->write_register(engine, (int)t->status, &status);
    }
}

static void begin_step(trace *t, void *engine) {
    const uint64_t call = register_value(t, engine, t->first_argument) - t->stack_begin;
    const uint8_t *numbers = t->stack + call + t->call_offset;
    if (call > t->regions[0].end - t->regions[0].begin - t->call_offset - 4) {
        return; /* not called by the executor */
    }
    t->step = numbers[0] | numbers[1] << 8;
    t->layer = numbers[2] | numbers[3] << 8;
    t->return_address = register_value(t, engine, t->link_register) & ~(uint64_t)t->thumb;
    if (t->layer >= (int32_t)t->n_layers) {
        t->layer = -1;
    }
}

static void end_step(trace *t) {
    trace_layer *layer = &t->layers[t->layer];
    const int last = (uint32_t)t->step + 1 == layer->steps;
    const uint32_t ready = last || layer->advance > layer->window ? layer->window : layer->advance;
    const int64_t first = layer->start + (int64_t)t->step * layer->advance;
    for (int64_t row = first; row < first + ready; row++) {
        if (row >= 0 && row < layer->rows) {
            const uint32_t offset = t->row_offsets[layer->first_row + row];
            layer->digest = crc32(layer->digest, t->arena + offset, layer->row_bytes);
        }
    }
    t->layer = -1;
}

void trace_block(void *engine, uint64_t address, uint32_t size, void *context) {
    trace *t = context;
    const uint64_t offset = address - t->code_begin;
    if (offset >= t->code_bytes || size > t->code_bytes - offset) {
        fail(t, engine, FAULT_CODE, address);
        return;
    }
    if (t->layer >= 0 && address == t->return_address) {
        end_step(t);
    }
    if (t->layer < 0 && t->entries[offset >> 1]) {
        begin_step(t, engine);
    }
    uint32_t *block = &t->blocks[offset >> 1]; /* what was seen to begin here */
    if (*block >> 16 != size) {
        *block = describe(t, offset, size);
    }
    const uint32_t instructions = *block & 0x7fff;
    t->conditional = (t->conditional << 1 | (*block >> 15 & 1)) & 3;
    t->instructions += instructions;
    if (t->layer >= 0) {
        t->layers[t->layer].instructions += instructions;
    }
    t->taken[t->previous] += t->previous_end != address;
    t->previous =
        (uint32_t)(t->layer + 1) * (uint32_t)((t->code_bytes + 1) >> 1) + (uint32_t)(offset >> 1);
    t->previous_end = address + size;
    t->runs[t->previous]++;
    if (t->instructions > t->limit) {
        fail(t, engine, FAULT_LIMIT, address);
    }
}

void trace_access(void *engine, int type, uint64_t address, int size, int64_t value,
                  void *context) {
    trace *t = context;
    const int writes = type == UNICORN_MEM_WRITE || type == UNICORN_MEM_WRITE_UNMAPPED;
    const uint32_t wanted = writes ? WRITE : READ;
    (void)value;
    if (t->conditional != 0) {
        clear_it_state(t, engine);
    }
    if (address - t->code_begin < t->code_bytes && t->layer >= 0 &&
        t->line != (uint32_t)(address >> LINE_SHIFT)) {
        t->line = (uint32_t)(address >> LINE_SHIFT);
        t->layers[t->layer].flash_lines++;
    }
    for (uint32_t i = 0; i < t->n_regions; i++) {
        trace_region *region = &t->regions[i];
        if (address >= region->begin && address + (uint64_t)size <= region->end &&
            (region->allowed & wanted) != 0) {
            region->lowest = address < region->lowest ? address : region->lowest;
            region->highest = address + (uint64_t)size > region->highest ? address + (uint64_t)size
                                                                         : region->highest;
            return;
        }
    }
    if (t->fault == FAULT_NONE) {
        t->fault_size = (uint32_t)size;
        t->fault_write = (uint32_t)writes;
    }
    fail(t, engine, FAULT_ACCESS, address);
}

/* For memory that is not there; the emulator asks whether it is now. */
_Bool trace_unmapped(void *engine, int type, uint64_t address, int size, int64_t value,
                     void *context) {
    trace_access(engine, type, address, size, value, context);
    return 0;
}
