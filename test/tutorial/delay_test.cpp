// The programs of tutorial/delay end their waits in the order of time, all at once.
#include <string>
#include <vector>

#include "test/tutorial/program.h"

using tutorial_test::Program;

namespace {

std::string output(const char* path, const std::vector<std::string>& arguments) {
    Program program(path, arguments);
    const std::string printed = program.read_all();
    CHECK_EQUAL(0, program.wait());
    return printed;
}

void prints_in_order(const char* path) {
    CHECK_EQUAL("10 ms\n20 ms\n30 ms\n", output(path, {}));
    CHECK_EQUAL("1 ms\n8 ms\n16 ms\n24 ms\n", output(path, {"24", "8", "1", "16"}));
}

// A hundred waits of 50 ms, one after the other, would take five seconds.
void waits_at_the_same_time(const char* path) {
    const auto each = test_support::patience(std::chrono::milliseconds(50));
    const std::vector<std::string> waits(100, std::to_string(each.count()));
    const auto begin = tutorial_test::Clock::now();
    CHECK_EQUAL(100 * (waits[0] + " ms\n").size(), output(path, waits).size());
    const auto took = tutorial_test::Clock::now() - begin;
    CHECK(took >= each);
    CHECK(took < 40 * each);
}

}  // namespace

TEST_GROUP_BASE(TutorialDelay, test_support::Fixture){};

TEST(TutorialDelay, InCPrintsInOrder) { prints_in_order("delay/delay_c"); }
TEST(TutorialDelay, InCxxPrintsInOrder) { prints_in_order("delay/delay"); }
TEST(TutorialDelay, InCWaitsAtTheSameTime) { waits_at_the_same_time("delay/delay_c"); }
TEST(TutorialDelay, InCxxWaitsAtTheSameTime) { waits_at_the_same_time("delay/delay"); }
