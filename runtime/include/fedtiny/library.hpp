/* libfedtiny for C++17: a network that destroys itself, and exceptions in place of results. */
#ifndef FEDTINY_LIBRARY_HPP
#define FEDTINY_LIBRARY_HPP

#include "fedtiny/library.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fedtiny {

class error : public std::runtime_error {
public:
    explicit error(fedtiny_result result)
        : std::runtime_error(fedtiny_result_text(result)), result_(result) {}
    fedtiny_result result() const noexcept { return result_; }

private:
    fedtiny_result result_;
};

inline void check(fedtiny_result result) {
    if (result != FEDTINY_RESULT_OK) {
        throw error(result);
    }
}

/* One packed model; used by one thread at a time. Moves, does not copy. */
class network {
public:
    explicit network(const std::string &path, std::uint32_t flags = 0) {
        fedtiny_network *made = nullptr;
        check(fedtiny_network_open(path.c_str(), flags, &made));
        handle_.reset(made);
    }
    /* `data` must live as long as the network. */
    network(const void *data, std::size_t bytes, std::uint32_t flags = 0) {
        fedtiny_network *made = nullptr;
        check(fedtiny_network_create(data, bytes, flags, &made));
        handle_.reset(made);
    }

    std::vector<fedtiny_tensor_info> inputs() const {
        return all(fedtiny_network_inputs(get()), fedtiny_network_input);
    }
    std::vector<fedtiny_tensor_info> outputs() const {
        return all(fedtiny_network_outputs(get()), fedtiny_network_output);
    }
    std::vector<fedtiny_tensor_info> layers() const {
        return all(fedtiny_network_layers(get()), fedtiny_network_layer);
    }

    std::size_t arena_bytes() const noexcept { return fedtiny_network_arena_bytes(get()); }
    std::size_t arena_alignment() const noexcept { return fedtiny_network_arena_alignment(get()); }
    void set_arena(void *arena, std::size_t bytes) {
        check(fedtiny_network_set_arena(get(), arena, bytes));
    }
    void set_timer(fedtiny_layer_timer timer, void *context) {
        check(fedtiny_network_set_timer(get(), timer, context));
    }

    /* One input and one output; sizes are in elements and must be the tensors'. */
    template <typename In, typename Out>
    void invoke(const std::vector<In> &input, std::vector<Out> &output) {
        const auto in = inputs(), out = outputs();
        if (in.size() != 1 || out.size() != 1 || input.size() * sizeof(In) != in[0].bytes ||
            output.size() * sizeof(Out) != out[0].bytes) {
            throw error(FEDTINY_RESULT_SIZE);
        }
        const void *from = input.data();
        void *to = output.data();
        invoke(&from, &to);
    }
    void invoke(const void *const *from, void *const *to) {
        check(fedtiny_network_invoke(get(), from, to));
    }

    fedtiny_network *get() const noexcept { return handle_.get(); }

private:
    template <typename Describe>
    std::vector<fedtiny_tensor_info> all(std::uint32_t count, Describe describe) const {
        std::vector<fedtiny_tensor_info> found(count);
        for (std::uint32_t i = 0; i < count; i++) {
            found[i].struct_bytes = sizeof found[i];
            check(describe(get(), i, &found[i]));
        }
        return found;
    }

    struct destroy {
        void operator()(fedtiny_network *made) const noexcept { fedtiny_network_destroy(made); }
    };
    std::unique_ptr<fedtiny_network, destroy> handle_;
};

} // namespace fedtiny

#endif
