#include "webby/accept_encoding.h"

#include <string>
#include <vector>

#include "test/support/harness.h"

using namespace webby;
using enum ContentCoding;

namespace {

const char* const kTokens[] = {"gzip", "br", "zstd", "identity"};

std::string chosen(const AcceptEncoding& accepted,
                   const std::vector<ContentCoding>& codings = {zstd, br, gzip}) {
    const auto coding = accepted.choose(codings);
    return coding ? std::string(to_string(*coding)) : "none";
}

}  // namespace

TEST_GROUP_BASE(AcceptEncoding, test_support::Fixture){};

TEST(AcceptEncoding, ChoosesTheBest) {
    struct Case {
        const char* field;
        const char* choice;
    };
    constexpr Case kCases[] = {
        {"", "identity"},
        {"gzip", "gzip"},
        {"GZIP", "gzip"},
        {"x-gzip", "gzip"},
        {"gzip, br", "br"},
        {"gzip, deflate, br, zstd", "zstd"},
        {"gzip;q=1.0, br;q=0.5, zstd;q=0.1", "gzip"},
        {"gzip;q=0.8, br;q=0.8", "br"},
        {"br;q=0, gzip", "gzip"},
        {"br;q=0.000, gzip;q=0.001", "gzip"},
        {"gzip ; q=0.5 , br ;q=0.4", "gzip"},
        {"gzip;Q=0.2,br;q=0.1", "gzip"},
        {"*", "zstd"},
        {"*;q=0.1, br", "br"},
        {"zstd;q=0, *", "br"},
        {"identity", "identity"},
        {"identity, gzip;q=0.5", "identity"},
        {"identity;q=0.5, gzip", "gzip"},
        {"deflate", "identity"},
        {"gzip;q=0", "identity"},
        {"identity;q=0", "none"},
        {"*;q=0", "none"},
        {"*;q=0, gzip", "gzip"},
        {"*;q=0, identity;q=0.1", "identity"},
        {"deflate, identity;q=0", "none"},
        {",, gzip ,,", "gzip"},
        {"gzip;level=9;q=0.5, br;q=0.1", "gzip"},
    };
    for (const Case& c : kCases)
        STRCMP_EQUAL_TEXT(c.choice, chosen(AcceptEncoding(c.field)).c_str(), c.field);
}

TEST(AcceptEncoding, WhatIsMalformedIsNotThere) {
    for (const char* weight :
         {"q=", "q=2", "q=1.001", "q=0.1234", "q=-1", "q=.5", "q=0,5", "q=0.5x", "q=a", "q=10", "q=1.1"})
        STRCMP_EQUAL_TEXT("identity", chosen(AcceptEncoding(std::string("gzip;") + weight), {gzip}).c_str(),
                          weight);
    STRCMP_EQUAL("identity", chosen(AcceptEncoding("gz ip, \x01, ;q=1, =, \"gzip\"")).c_str());
}

TEST(AcceptEncoding, WhoSaysNothingGetsItAsItIs) {
    const AcceptEncoding nothing{Headers()};
    STRCMP_EQUAL("identity", chosen(nothing).c_str());
    CHECK_FALSE(nothing.accepts(gzip));
    CHECK(nothing.accepts(identity));
}

TEST(AcceptEncoding, SeveralFieldsAreOne) {
    const std::string text = "Accept-EncodinggzipbrQ";
    Headers headers;
    headers.set_text(text.data());
    const std::string_view view = text;
    headers.add(view.substr(0, 15), view.substr(15, 4));
    headers.add(view.substr(0, 15), view.substr(19, 2));
    const AcceptEncoding accepted(headers);
    CHECK(accepted.accepts(gzip) && accepted.accepts(br) && !accepted.accepts(zstd));
}

TEST(AcceptEncoding, OnlyWhatWeHaveIsChosen) {
    STRCMP_EQUAL("gzip", chosen(AcceptEncoding("zstd, gzip;q=0.1"), {br, gzip}).c_str());
    STRCMP_EQUAL("identity", chosen(AcceptEncoding("zstd, gzip"), {}).c_str());
    STRCMP_EQUAL("none", chosen(AcceptEncoding("zstd, gzip, identity;q=0"), {br}).c_str());
}

TEST(AcceptEncoding, CodingsHaveTheirNames) {
    for (const char* token : kTokens)
        CHECK_EQUAL(std::string_view(token), to_string(*parse_content_coding(token)));
    CHECK_FALSE(parse_content_coding("deflate"));
    CHECK_FALSE(parse_content_coding(""));
}

TEST(AcceptEncoding, AnythingFromAnybodyIsUnderstood) {
    static constexpr std::string_view kPieces[] = {"gzip", "br", "zstd", "*", "identity", ";",
                                                   "q=",   ",",  "0",    "1", ".5",       " "};
    std::uint32_t state = 1;
    std::string wrong;
    for (int round = 0; round < 100'000; ++round) {
        std::string field;
        for (int i = 0; i < 10; ++i) {
            state = state * 1664525u + 1013904223u;
            field += kPieces[(state >> 8) % std::size(kPieces)];
        }
        const AcceptEncoding accepted(field);
        bool good = accepted.choose({}).has_value() == accepted.accepts(identity);
        for (const ContentCoding coding : {identity, gzip, br, zstd})
            good = good && accepted.quality(coding) <= 1000;
        if (!good) wrong = field;
    }
    STRCMP_EQUAL("", wrong.c_str());
}
