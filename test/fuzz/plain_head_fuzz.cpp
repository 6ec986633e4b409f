// The short way through a head and Beast's: what one accepts, the other accepts with the same result.
#include "test/fuzz/fuzz.h"
#include "test/webby/described_head.h"

void fuzz::fuzz_one(std::string_view input) {
    webby::Limits limits;
    if (take_seed(input) % 4 == 0) {
        limits.request_line = 32;
        limits.head = 128;
        limits.header_count = 3;
    }
    const std::string text(input);
    must(webby_test::described(text, limits, true) == webby_test::described(text, limits, false),
         "both ways say the same about a head");
}
