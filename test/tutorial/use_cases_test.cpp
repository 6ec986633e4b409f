// The use cases of tutorial/use_cases: what happens, and when. Their clock is virtual, so it is exact.
#include <string>
#include <vector>

#include "test/tutorial/program.h"

using tutorial_test::Program;

namespace {

// What one of them prints, without its name.
std::string story_of(const std::string& name) {
    Program program("use_cases/use_cases", {name});
    CHECK_EQUAL(name, program.read_line());
    const std::string story = program.read_all();
    CHECK_EQUAL(0, program.wait());
    return story;
}

}  // namespace

TEST_GROUP_BASE(TutorialUseCases, test_support::Fixture){};

TEST(TutorialUseCases, ParentCancelsChild) {
    CHECK_EQUAL(
        "   1.0 s  parent: enough\n"
        "   1.0 s  worker: canceled, 3 done\n",
        story_of("parent_cancels_child"));
}

TEST(TutorialUseCases, ParentCancelsMany) {
    CHECK_EQUAL(
        "   1.0 s  parent: enough, 3 of you\n"
        "   1.0 s  worker 1: canceled, 3 done\n"
        "   1.0 s  worker 2: canceled, 1 done\n"
        "   1.0 s  worker 3: canceled, 1 done\n",
        story_of("parent_cancels_many"));
}

TEST(TutorialUseCases, ParentWaitsForResult) {
    CHECK_EQUAL("   3.0 s  parent: 7 pieces of fruit\n", story_of("parent_waits_for_result"));
}

TEST(TutorialUseCases, GracePeriod) {
    CHECK_EQUAL(
        "   0.0 s  parent: ten seconds more\n"
        "  10.0 s  parent: time is up\n"
        "  10.2 s  work: stopped, and tidied up\n"
        "  10.2 s  parent: alone\n",
        story_of("grace_period"));
}

TEST(TutorialUseCases, ManyWithAGracePeriod) {
    CHECK_EQUAL(
        "   0.0 s  parent: ten seconds more\n"
        "   4.0 s  work of 4 s: done\n"
        "   8.0 s  work of 8 s: done\n"
        "  10.0 s  parent: time is up for 2\n"
        "  10.2 s  work of 12 s: stopped, and tidied up\n"
        "  10.2 s  work of 16 s: stopped, and tidied up\n"
        "  10.2 s  parent: alone\n",
        story_of("many_with_a_grace_period"));
}

TEST(TutorialUseCases, BroadcastOfShutdown) {
    CHECK_EQUAL(
        "   2.0 s  Ann: job 1 done\n"
        "   2.0 s  Bob: job 2 done\n"
        "   2.0 s  parent: that was the last job\n"
        "   2.0 s  Bob: goes home\n"
        "   4.0 s  Ann: job 3 done\n"
        "   4.0 s  Ann: goes home\n"
        "   4.0 s  parent: alone\n",
        story_of("broadcast_of_shutdown"));
}

TEST(TutorialUseCases, ConnectionWithSenderAndReceiver) {
    CHECK_EQUAL(
        "   0.0 s  here: you said one\n"
        "   0.0 s  here: you said two\n"
        "   0.0 s  here: you said three\n"
        "   5.0 s  here: nothing more\n"
        "   5.0 s  here: closed, both sides have heard everything\n"
        "   5.0 s  there: closed, too\n",
        story_of("connection_with_sender_and_receiver"));
}

TEST(TutorialUseCases, FailureOfAGrandchild) {
    CHECK_EQUAL(
        "   1.0 s  sibling: canceled\n"
        "   1.0 s  parent: out of paper\n",
        story_of("failure_of_a_grandchild"));
}

// Half a minute of them, in no time.
TEST(TutorialUseCases, TakeNoTime) {
    const auto begin = tutorial_test::Clock::now();
    Program program("use_cases/use_cases");
    STRCMP_CONTAINS("grace_period\n", program.read_all().c_str());
    CHECK_EQUAL(0, program.wait());
    CHECK(tutorial_test::Clock::now() - begin < std::chrono::seconds(5));
}

TEST(TutorialUseCases, RefusesANameThatIsNone) {
    Program program("use_cases/use_cases", {"parent_cancels_parent"});
    STRCMP_CONTAINS("usage:", program.read_errors().c_str());
    CHECK_EQUAL(2, program.wait());
}
