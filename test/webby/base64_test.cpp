#include "webby/base64.h"

#include <string>
#include <string_view>

#include "webby/constant_time.h"

#include "test/support/harness.h"

using namespace webby;
using namespace std::string_view_literals;

TEST_GROUP_BASE(Base64, test_support::Fixture){};

TEST(Base64, IsDecoded) {
    CHECK_EQUAL("", base64_decode("").value_or("nothing"));
    CHECK_EQUAL("f", base64_decode("Zg==").value_or("nothing"));
    CHECK_EQUAL("fo", base64_decode("Zm8=").value_or("nothing"));
    CHECK_EQUAL("foobar", base64_decode("Zm9vYmFy").value_or("nothing"));
    CHECK(base64_decode("+/8A") == std::string("\xfb\xff\0", 3));
}

TEST(Base64, HasOneSpelling) {
    for (const std::string_view text :
         {"Z"sv, "Zg"sv, "Zg="sv, "Zg==="sv, "===="sv, "Zh=="sv, "Zm9="sv, "Zm-_"sv, "Zg= ="sv, " Zg=="sv,
          "Z==="sv, "=Zg="sv, "Zm\0v"sv, "Zg==Zg=="sv})
        CHECK_FALSE_TEXT(base64_decode(text).has_value(), std::string(text).c_str());
}

TEST_GROUP_BASE(ConstantTime, test_support::Fixture){};

TEST(ConstantTime, EqualIsEqual) {
    CHECK(equal_in_constant_time("", ""));
    CHECK(equal_in_constant_time("abc", "abc"));
    for (const auto& [a, b] : {std::pair{""sv, "a"sv},
                               {"a"sv, ""sv},
                               {"abc"sv, "abd"sv},
                               {"abc"sv, "ab"sv},
                               {"ab"sv, "abc"sv},
                               {"abab"sv, "ab"sv},
                               {"\1"sv, ""sv},
                               {"\0"sv, ""sv},
                               {"a\0"sv, "a"sv}})
        CHECK_FALSE(equal_in_constant_time(a, b));
}
