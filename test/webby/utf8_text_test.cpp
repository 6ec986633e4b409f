#include "webby/utf8_text.h"

#include <string>
#include <string_view>

#include "test/support/harness.h"

using namespace webby;
using namespace std::string_view_literals;

namespace {
std::string replaced(std::string_view text) {
    std::string copy(text);
    replace_broken_utf8(copy);
    return copy;
}
constexpr std::string_view kMark = "\xef\xbf\xbd";
}  // namespace

TEST_GROUP_BASE(Utf8Text, test_support::Fixture){};

TEST(Utf8Text, CharactersOfEveryLengthAreRead) {
    CHECK(utf8_step("a").character == U'a');
    CHECK(utf8_step("\xc3\xa4!").character == 0xe4);
    CHECK(utf8_step("\xe2\x82\xac").character == 0x20ac);
    CHECK(utf8_step("\xf0\x9f\x98\x80").character == 0x1f600);
    CHECK(utf8_step("\xf4\x8f\xbf\xbf").character == 0x10ffff);
    CHECK(utf8_step("\0"sv).character == 0);
}

TEST(Utf8Text, WhatIsNoCharacterIsBroken) {
    for (const std::string_view text : {"\x80"sv, "\xff"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv,
                                        "\xed\xa0\x80"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv,
                                        "\xf5\x80\x80\x80"sv, "\xc3"sv, "\xe2\x82"sv, "\xc3z"sv})
        CHECK_FALSE(is_utf8(text));
    CHECK(is_utf8(""));
    CHECK(is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
}

TEST(Utf8Text, EachBrokenPartBecomesOneMark) {
    CHECK_EQUAL(std::string("a") + std::string(kMark) + "b", replaced("a\xff"
                                                                      "b"));
    CHECK_EQUAL(std::string(kMark), replaced("\xf0\x9f\x98"));  // one truncated character
    CHECK_EQUAL(std::string(kMark) + std::string(kMark), replaced("\xc0\x80"));
    CHECK_EQUAL(std::string(kMark) + "z", replaced("\xe2\x82z"));
    CHECK_EQUAL(std::string("\xc3\xa4"), replaced("\xc3\xa4"));
}

TEST(Utf8Text, IsCutBetweenCharacters) {
    CHECK_EQUAL("a"sv, cut_utf8("a\xc3\xa4", 2));
    CHECK_EQUAL("a\xc3\xa4"sv, cut_utf8("a\xc3\xa4", 3));
    CHECK_EQUAL(""sv, cut_utf8("\xf0\x9f\x98\x80", 3));
    CHECK_EQUAL("ab"sv, cut_utf8("abc", 2));
    CHECK_EQUAL(2, cut_utf8("\x80\x80\x80\x80\x80\x80", 5).size() == 5 ? 2 : 0);  // broken: cut anywhere
}
