#include "webby/output_steps_internal.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "test/support/harness.h"

using nutils::IoResult;

namespace {

// Takes all at once.
struct Greedy {
    IoResult try_send(std::string_view text, int) { return {text.size(), {}}; }
    IoResult try_sendv(std::span<const iovec> pieces) { return {nutils::total_size(pieces), {}}; }
    IoResult try_sendfile(int, off_t&, std::size_t count) { return {count, {}}; }
};

}  // namespace

TEST_GROUP_BASE(OutputSteps, test_support::Fixture){};

TEST(OutputSteps, AClientThatTakesAllHoldsTheOthersUpForSomeMebibytes) {
    webby::Http1Engine::Output output;
    output.file = 0;
    output.count = std::numeric_limits<std::uint32_t>::max();
    Greedy socket;
    std::uint64_t sent = 0;
    for (int step = 0; step < webby::kStepsInARow; ++step)
        sent += webby::send_step(socket, output, sent).bytes;
    CHECK(sent >= 1 << 20);
    CHECK(sent <= 4 << 20);
}
