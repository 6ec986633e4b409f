// SourceLines: from an address to a file and a line.
#include "corothread/source_lines.h"

#include <string>

#include "corothread/backtrace.h"
#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

TEST_GROUP_BASE(SourceLines, Fixture) { corothread::SourceLines lines; };

TEST(SourceLines, SayWhereACallWas) {
    const int expected = __LINE__ + 1;
    const Backtrace trace = Backtrace::here();
    const std::string end = "test/corothread/source_lines_test.cpp:" + std::to_string(expected);
    STRCMP_CONTAINS(end.c_str(), lines.of(trace.begin()[0]).c_str());
    CHECK(lines.available());
}

TEST(SourceLines, StandBehindTheNamesOfABacktrace) {
    const Backtrace trace = Backtrace::here();
    STRCMP_CONTAINS(" at ", to_string(trace, "  ", lines).c_str());
    STRCMP_CONTAINS("source_lines_test.cpp:", to_string(trace, "  ", lines).c_str());
    CHECK_EQUAL(std::string::npos, to_string(trace).find("source_lines_test.cpp:"));
}

TEST(SourceLines, OfWhatIsNobodysAreEmpty) { CHECK_EQUAL("", lines.of(reinterpret_cast<void*>(16))); }
