#include "webby/byte_ranges.h"

#include <string>

#include "test/support/harness.h"

using namespace webby;

namespace {

// "first+size first+size …", "ignored" or "unsatisfiable".
std::string meant(std::string_view field, std::uint64_t size) {
    const ByteRanges asked(field, size);
    switch (asked.meaning()) {
        case ByteRanges::Meaning::ignored: return asked.ranges().empty() ? "ignored" : "ignored, with ranges";
        case ByteRanges::Meaning::unsatisfiable:
            return asked.ranges().empty() ? "unsatisfiable" : "unsatisfiable, with ranges";
        case ByteRanges::Meaning::satisfiable: break;
    }
    std::string text;
    for (const ByteRange range : asked.ranges())
        text.append(text.empty() ? "" : " ")
            .append(std::to_string(range.first))
            .append("+")
            .append(std::to_string(range.size));
    return text;
}

struct Case {
    const char* field;
    std::uint64_t size;
    const char* meaning;
};

void check(std::span<const Case> cases) {
    for (const Case& c : cases) STRCMP_EQUAL_TEXT(c.meaning, meant(c.field, c.size).c_str(), c.field);
}

}  // namespace

TEST_GROUP_BASE(ByteRanges, test_support::Fixture){};

TEST(ByteRanges, OneIsFirstAndLastOrOpenOrTheEnd) {
    constexpr Case kCases[] = {
        {"bytes=0-0", 10, "0+1"},  {"bytes=0-9", 10, "0+10"},   {"bytes=2-4", 10, "2+3"},
        {"bytes=2-99", 10, "2+8"}, {"bytes=9-", 10, "9+1"},     {"bytes=0-", 10, "0+10"},
        {"bytes=-3", 10, "7+3"},   {"bytes=-10", 10, "0+10"},   {"bytes=-99", 10, "0+10"},
        {"BYTES=1-2", 10, "1+2"},  {" bytes=1-2\t", 10, "1+2"}, {"bytes=007-0008", 10, "7+2"},
        {"bytes= 1-2", 10, "1+2"},
    };
    check(kCases);
}

TEST(ByteRanges, BehindTheEndIsUnsatisfiable) {
    constexpr Case kCases[] = {
        {"bytes=10-", 10, "unsatisfiable"},
        {"bytes=10-20", 10, "unsatisfiable"},
        {"bytes=-0", 10, "unsatisfiable"},
        {"bytes=0-0", 0, "unsatisfiable"},
        {"bytes=0-", 0, "unsatisfiable"},
        {"bytes=10-,11-", 10, "unsatisfiable"},
        {"bytes=99999999999999999999999-", 10, "unsatisfiable"},
    };
    check(kCases);
}

TEST(ByteRanges, SeveralKeepTheirOrder) {
    constexpr Case kCases[] = {
        {"bytes=0-1,4-5", 10, "0+2 4+2"},    {"bytes=4-5,0-1", 10, "4+2 0+2"},
        {"bytes=0-1, -1", 10, "0+2 9+1"},    {"bytes=0-1 ,\t4-5", 10, "0+2 4+2"},
        {"bytes=,0-1,,4-5,", 10, "0+2 4+2"}, {"bytes=0-1,2-3", 10, "0+2 2+2"},
        {"bytes=0-1,20-30", 10, "0+2"},      {"bytes=20-30,-2,50-", 10, "8+2"},
    };
    check(kCases);
}

TEST(ByteRanges, WhatIsMalformedIsIgnored) {
    for (const char* field : {"",
                              "bytes",
                              "bytes=",
                              "bytes=,",
                              "bytes=a-b",
                              "bytes=1",
                              "bytes=-",
                              "bytes=--1",
                              "bytes=1--2",
                              "bytes=2-1",
                              "bytes=+1-2",
                              "bytes=1-+2",
                              "bytes=0x1-2",
                              "bytes=1 -2",
                              "bytes=1- 2",
                              "bytes =1-2",
                              "bytes:1-2",
                              "items=0-1",
                              "bytes=0-1;x",
                              "bytes=0-1,a",
                              "bytes=0-1,5-4",
                              "bytes=0-1,bytes=3-4",
                              "bytes=1.5-2",
                              "none"})
        STRCMP_EQUAL_TEXT("ignored", meant(field, 10).c_str(), field);
}

TEST(ByteRanges, TheEndOfNothingIsTheWhole) { STRCMP_EQUAL("ignored", meant("bytes=-5", 0).c_str()); }

TEST(ByteRanges, LargeNumbersDoNotOverflow) {
    constexpr std::uint64_t kHuge = ~std::uint64_t{0};
    STRCMP_EQUAL("5+5", meant("bytes=5-99999999999999999999999999", 10).c_str());
    STRCMP_EQUAL("0+10", meant("bytes=-99999999999999999999999999", 10).c_str());
    STRCMP_EQUAL("1+1", meant("bytes=1-1", kHuge).c_str());
    STRCMP_EQUAL("18446744073709551614+1", meant("bytes=18446744073709551614-", kHuge).c_str());
    STRCMP_EQUAL("0+5 18446744073709551605+10", meant("bytes=0-4,-10", kHuge).c_str());
}

TEST(ByteRanges, ThoseThatOverlapAreIgnored) {
    constexpr Case kCases[] = {
        {"bytes=0-5,5-9", 10, "ignored"},    {"bytes=5-9,0-5", 10, "ignored"},
        {"bytes=0-1,0-1", 10, "ignored"},    {"bytes=0-9,3-4", 10, "ignored"},
        {"bytes=-3,7-7", 10, "ignored"},     {"bytes=0-,-1", 10, "ignored"},
        {"bytes=0-1,6-,3-6", 10, "ignored"},
    };
    check(kCases);
}

TEST(ByteRanges, TooManyAreIgnored) {
    std::string field = "bytes=0-0";
    for (std::size_t i = 1; i < ByteRanges::kMost; ++i)
        field.append(",").append(std::to_string(2 * i)).append("-").append(std::to_string(2 * i));
    LONGS_EQUAL(ByteRanges::kMost, ByteRanges(field, 1000).ranges().size());
    STRCMP_EQUAL("ignored", meant(field + ",500-501", 1000).c_str());
    STRCMP_EQUAL("ignored", meant(field + ",5000-", 1000).c_str());  // counted, whether it can be had or not
}

TEST(ByteRanges, AnythingFromAnybodyIsUnderstood) {
    static constexpr std::string_view kAlphabet = "0123456789--,,= \tbytes";
    std::uint32_t state = 1;
    const auto random = [&state](std::size_t below) {
        state = state * 1664525u + 1013904223u;
        return static_cast<std::size_t>(state >> 8) % below;
    };
    std::size_t satisfiable = 0;
    std::string wrong;
    for (int round = 0; round < 100'000; ++round) {
        std::string field = random(8) == 0 ? "" : "bytes=";
        for (std::size_t size = random(12); size > 0; --size) field += kAlphabet[random(kAlphabet.size())];
        const std::uint64_t whole = random(40);
        const ByteRanges asked(field, whole);
        const auto ranges = asked.ranges();
        const bool can = asked.meaning() == ByteRanges::Meaning::satisfiable;
        satisfiable += can ? 1 : 0;
        bool good = can == !ranges.empty() && ranges.size() <= ByteRanges::kMost;
        for (const ByteRange& range : ranges)
            good = good && range.size > 0 && range.first < whole && range.size <= whole - range.first;
        if (!good) wrong = field;
    }
    STRCMP_EQUAL("", wrong.c_str());
    CHECK(satisfiable > 1000);
}
