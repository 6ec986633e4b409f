#include "webby/parameters.h"

#include <string>
#include <string_view>

#include "test/support/harness.h"

using namespace webby;

namespace {
// "name=value|name=value|", and "!" where it is malformed.
std::string read_all(std::string_view rest, Quoting quoting = Quoting::http) {
    std::string all;
    for (Parameter parameter;;) {
        switch (read_parameter(rest, parameter, quoting)) {
            case ParameterStep::one:
                all.append(parameter.name).append("=").append(parameter.value).append("|");
                break;
            case ParameterStep::end: return all;
            case ParameterStep::malformed: return all + "!";
        }
    }
}
std::string browser(std::string_view rest) { return read_all(rest, Quoting::form_data); }
}  // namespace

TEST_GROUP_BASE(Parameters, test_support::Fixture){};

TEST(Parameters, AreReadInOrder) {
    CHECK_EQUAL("a=1|B=two words|", read_all("; a=1 ;B=\"two words\""));
    CHECK_EQUAL("", read_all(""));
    CHECK_EQUAL("", read_all(" \t"));
    CHECK_EQUAL("a=1|", read_all(";;a=1; ;"));
    CHECK_EQUAL("a=|", read_all(";a=\"\""));
}

TEST(Parameters, MalformedOnesAreSeen) {
    for (const char* text : {"a=1", ";a", ";=1", ";a=", ";a=;b=1", ";a =1", ";a= 1", ";a=\"1", ";a=\"1\\\"",
                             ";a=\"1\"x", ";a=1 b=2", ";a=\"1\"\"2\"", ";a(=1", "x;a=1"})
        STRCMP_EQUAL("!", read_all(text).substr(read_all(text).size() - 1).c_str());
}

TEST(Parameters, HttpEscapesAnyCharacter) { CHECK_EQUAL("a=x\"y\\z%22|", read_all(R"(;a="x\"\y\\z%22")")); }

TEST(Parameters, BrowsersLeaveBackslashesAlone) {
    CHECK_EQUAL("f=C:\\temp\\a.txt|", browser(R"(;f="C:\temp\a.txt")"));
    CHECK_EQUAL("f=say \"hi\"|", browser(R"(;f="say \"hi\"")"));
    CHECK_EQUAL("f=C:\\|", browser(R"(;f="C:\")"));
}

TEST(Parameters, BrowsersWriteQuotesAndLineEndsAsPercent) {
    CHECK_EQUAL("f=a\"b\r\nc%41%|", browser(R"(;f="a%22b%0D%0ac%41%")"));
}
