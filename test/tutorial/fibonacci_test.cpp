// The four forms of tutorial/fibonacci print the same numbers.
#include <string>

#include "test/tutorial/program.h"

using tutorial_test::Program;

TEST_GROUP_BASE(TutorialFibonacci, test_support::Fixture){
    static std::string output(const std::string& form, const std::vector<std::string>& arguments){
        Program program("fibonacci/" + form, arguments);
const std::string printed = program.read_all();
CHECK_EQUAL(0, program.wait());
return printed;
}
static void check_form(const std::string& form) {
    CHECK_EQUAL("0\n1\n1\n2\n3\n5\n8\n13\n21\n34\n", output(form, {}));
    CHECK_EQUAL("0\n1\n1\n2\n", output(form, {"4"}));
    CHECK_EQUAL("0\n", output(form, {"1"}));
    CHECK_EQUAL("", output(form, {"0"}));
    CHECK_EQUAL(output("plain", {"94"}), output(form, {"94"}));  // as many as fit in 64 bits
}
}
;

TEST(TutorialFibonacci, AsAPlainLoop) {
    check_form("plain");
    STRCMP_CONTAINS("\n12200160415121876738\n", output("plain", {"94"}).c_str());
}
TEST(TutorialFibonacci, AsAnArray) { check_form("array"); }
TEST(TutorialFibonacci, AsACallback) { check_form("callback"); }
TEST(TutorialFibonacci, AsAGenerator) { check_form("generator"); }
