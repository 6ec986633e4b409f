// tutorial/ordering: a bug that the usual order hides, and that a seed shows, every time.
#include <cstdlib>
#include <string>
#include <vector>

#include "test/tutorial/program.h"

using tutorial_test::Program;

namespace {

struct Outcome {
    int code;
    std::string printed;
};

Outcome outcome_of(const std::vector<std::string>& arguments) {
    Program program("ordering/ordering", arguments);
    std::string printed = program.read_all();
    return {program.wait(), std::move(printed)};
}

// The seed that the search found.
std::string found_in(const std::string& printed) {
    const std::string before = "to see it again: ordering ";
    const std::size_t at = printed.find(before);
    CHECK(at != std::string::npos);
    return std::to_string(std::atoi(printed.c_str() + at + before.size()));
}

}  // namespace

TEST_GROUP_BASE(TutorialOrdering, test_support::Fixture){};

TEST(TutorialOrdering, FindsASeedThatShowsTheBug) {
    const Outcome search = outcome_of({});
    CHECK_EQUAL(0, search.code);
    STRCMP_CONTAINS("the dispatcher has the result\n\nseed ", search.printed.c_str());  // the usual order
    STRCMP_CONTAINS(" 60 min  the dispatcher gives up\n", search.printed.c_str());
}

TEST(TutorialOrdering, ReplaysTheSeed) {
    const std::string search = outcome_of({}).printed;
    const std::string seed = found_in(search);
    const Outcome again = outcome_of({seed});
    CHECK_EQUAL(1, again.code);
    CHECK(search.ends_with(again.printed));
    CHECK_EQUAL(again.printed, outcome_of({seed}).printed);
}

TEST(TutorialOrdering, SeedsBelowItAreFine) {
    const int seed = std::atoi(found_in(outcome_of({}).printed).c_str());
    for (int below = 1; below < seed; ++below) CHECK_EQUAL(0, outcome_of({std::to_string(below)}).code);
}

TEST(TutorialOrdering, FixedHasNoBugInAThousandOrders) {
    const auto begin = tutorial_test::Clock::now();
    const Outcome fixed = outcome_of({"--fixed"});
    CHECK_EQUAL(0, fixed.code);
    CHECK_EQUAL("1000 orders, and no job is lost\n", fixed.printed);
    CHECK(tutorial_test::Clock::now() - begin < std::chrono::seconds(10));  // 167 hours of virtual time
}

TEST(TutorialOrdering, RefusesASeedThatIsNone) {
    for (const char* wrong : {"x", "1x", ""}) {
        Program program("ordering/ordering", {wrong});
        STRCMP_CONTAINS("usage:", program.read_errors().c_str());
        CHECK_EQUAL(2, program.wait());
    }
}
