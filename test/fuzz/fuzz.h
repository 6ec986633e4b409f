// What every fuzz target has in common. A target is a file test/fuzz/NAME_fuzz.cpp that defines fuzz_one();
// its seeds stand in test/fuzz/corpus/NAME, its words, if it has any, in test/fuzz/NAME.dict. build/fuzz.sh
// builds and runs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fuzz {

// Called for every input, on a coroutine's stack (see fuzz.cpp), in an exact copy: a byte too far is seen.
void fuzz_one(std::string_view input);

// Ends the run, as a crash with this input, when what was claimed is not so.
void must(bool holds, const char* claim);

// Cuts text into pieces of sizes that the input itself chooses.
//
//   Pieces pieces(text, seed);
//   while (!pieces.empty()) eat(pieces.next());
class Pieces {
  public:
    // Seed 0: one piece. Else pieces of 1 to 16 bytes, now and then up to 256.
    Pieces(std::string_view text, std::uint8_t seed) : text_(text), state_(seed) {}
    [[nodiscard]] bool empty() const { return text_.empty(); }
    std::string_view next(std::size_t most = SIZE_MAX);

  private:
    std::string_view text_;
    std::uint32_t state_;
};

// Takes the first byte of the input, as a seed; 0 when there is none.
inline std::uint8_t take_seed(std::string_view& input) {
    if (input.empty()) return 0;
    const auto seed = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    return seed;
}

}  // namespace fuzz
