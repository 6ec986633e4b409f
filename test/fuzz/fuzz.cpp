#include "test/fuzz/fuzz.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "corothread/coroutine.h"
#include "corothread/stack_pool.h"
#include "cutils/log.h"

namespace fuzz {
namespace {

// The stack a server gives a request: 16 pages with a guard below, not made larger for AddressSanitizer's
// larger frames, so there is less room here than there. What recurses on its input, or keeps buffers on the
// stack, does not get far.
corothread::StackPool& stacks() {
    static corothread::StackPool pool({.count = 2, .pages = 16, .scale = false});
    return pool;
}

}  // namespace

void must(bool holds, const char* claim) {
    if (holds) return;
    std::fprintf(stderr, "this must hold: %s\n", claim);
    std::abort();
}

std::string_view Pieces::next(std::size_t most) {
    std::size_t size = text_.size();
    if (state_ != 0) {
        state_ = state_ * 1664525 + 1013904223;
        const std::uint32_t random = state_ >> 8;
        size = 1 + random % (random % 17 == 0 ? 256 : 16);
        if (state_ == 0) state_ = 1;
    }
    const std::string_view piece = text_.substr(0, std::min(size, most));
    text_.remove_prefix(piece.size());
    return piece;
}

}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::unique_ptr<char[]> copy(new char[size]);
    std::copy_n(data, size, copy.get());
    corothread::Coroutine<void> run(fuzz::stacks(), [&](auto&) { fuzz::fuzz_one({copy.get(), size}); });
    run.resume();
    return 0;
}
