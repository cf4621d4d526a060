// run.c in C++17: run MODEL.fedtiny INPUT OUTPUT, for a model with one input and one output.
#include <fedtiny/library.hpp>

#include <fstream>
#include <iostream>

int main(int count, char **words) {
    if (count != 4) {
        std::cerr << "usage: " << words[0] << " MODEL.fedtiny INPUT OUTPUT\n";
        return 2;
    }
    try {
        fedtiny::network network(words[1]);
        std::vector<char> input(network.inputs().at(0).bytes);
        std::vector<char> output(network.outputs().at(0).bytes);
        std::ifstream(words[2], std::ios::binary)
            .read(input.data(), static_cast<std::streamsize>(input.size()));
        network.invoke(input, output);
        std::ofstream(words[3], std::ios::binary)
            .write(output.data(), static_cast<std::streamsize>(output.size()));
    } catch (const std::exception &error) {
        std::cerr << words[1] << ": " << error.what() << "\n";
        return 1;
    }
}
