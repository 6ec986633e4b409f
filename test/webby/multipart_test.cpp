#include "webby/multipart.h"

#include <string>
#include <string_view>
#include <vector>

#include "nutils/net_error.h"

#include "test/support/harness.h"

using namespace webby;
using Step = MultipartParser::Step;
using namespace std::string_view_literals;

namespace {

// All that is seen in `body`, given in these two pieces and then in pieces of `fragment`:
// "[name](type)data.".
std::string parsed(std::string_view body, std::size_t cut, std::size_t fragment,
                   const MultipartLimits& limits) {
    MultipartParser parser("b", limits);
    std::string all;
    bool first = true;
    while (true) {
        std::string_view input = body.substr(0, first && cut > 0 ? cut : fragment);
        first = false;
        body.remove_prefix(input.size());
        for (bool fed = true; fed;) {
            switch (parser.next(input)) {
                case Step::need_more: fed = false; break;
                case Step::part:
                    all.append("[").append(parser.part().name);
                    if (parser.part().filename) all.append("/").append(*parser.part().filename);
                    all.append("]");
                    if (!parser.part().content_type.empty())
                        all.append("(" + parser.part().content_type + ")");
                    break;
                case Step::data: all.append(parser.data()); break;
                case Step::part_end: all.append("."); break;
                case Step::end: all.append("end"); break;
                case Step::refused: return parser.error().message();
            }
        }
        if (!body.empty()) continue;
        return parser.finish() ? all : parser.error().message();
    }
}

constexpr std::string_view kHead = "Content-Disposition: form-data; name=\"a\"\r\n";

std::string part(std::string_view data, std::string_view head = kHead) {
    return "--b\r\n" + std::string(head) + "\r\n" + std::string(data) + "\r\n";
}

std::string boundary_of(std::string_view type) {
    const auto boundary = multipart_boundary(type);
    return boundary ? *boundary : "refused";
}

}  // namespace

TEST_GROUP_BASE(Multipart, test_support::Fixture) {
    MultipartLimits limits;

    // The same however it is cut up.
    std::string read(std::string_view body) {
        const std::string whole = parsed(body, 0, body.size(), limits);
        for (std::size_t cut = 1; cut < body.size(); ++cut)
            CHECK_EQUAL(whole, parsed(body, cut, body.size(), limits));
        for (const std::size_t fragment : {1u, 2u, 3u, 7u, 16u})
            CHECK_EQUAL(whole, parsed(body, 0, fragment, limits));
        return whole;
    }
    std::string disposition(std::string_view value) {
        return read(part("x", "Content-Disposition: " + std::string(value) + "\r\n") + "--b--");
    }
};

TEST(Multipart, PartsComeInOrder) {
    CHECK_EQUAL("[a]one.[f/x.txt](text/plain)two\r\nlines.end",
                read(part("one") +
                     part("two\r\nlines",
                          "content-disposition: form-data; name=f; filename=\"x.txt\"\r\nCONTENT-TYPE:  "
                          "text/plain \r\n") +
                     "--b--\r\n"));
}

TEST(Multipart, NoPartsAreNoParts) {
    CHECK_EQUAL("end", read("--b--"));
    CHECK_EQUAL("end", read("--b--\r\n"));
}

TEST(Multipart, WhatIsAroundThePartsIsForgotten) {
    CHECK_EQUAL("[a]x.end", read("pre\r\namble --b \r\n-\r\n" + part("x") + "--b-- \r\nepi\r\n--b\r\nlogue"));
    CHECK_EQUAL("[a]x.end", read("\r\n" + part("x") + "--b--"));
}

TEST(Multipart, WhatLooksLikeADelimiterIsData) {
    for (const std::string_view data :
         {"\r"sv, "\n"sv, "\r\n"sv, "\r\n-"sv, "\r\n--"sv, "\r\n\r\n"sv, "\r\r\n--"sv, "--b"sv.substr(0, 2),
          "-"sv, "x--b"sv, "x--b--"sv, "\n--b"sv, "\r--b"sv, "\r\n-b"sv, "\r\n--\r\n--"sv, "\0\r\n\0--"sv,
          "\r\n--a\r\n--B"sv, "-x"sv})
        CHECK_EQUAL("[a]" + std::string(data) + ".end", read(part(data) + "--b--"));
}

TEST(Multipart, AnEmptyPartIsWrittenInEitherWay) {
    CHECK_EQUAL("[a].end", read(part("") + "--b--"));
    CHECK_EQUAL("[a].end", read("--b\r\n" + std::string(kHead) + "\r\n--b--"));
}

TEST(Multipart, DelimitersMayBePadded) {
    CHECK_EQUAL("[a]x.[a]y.end",
                read("--b \t\r\n" + part("x").substr(5) + "--b\t\r\n" + part("y").substr(5) + "--b--  "));
}

TEST(Multipart, NamesAreReadAsBrowsersWriteThem) {
    CHECK_EQUAL("[say \"hi\"]x.end", disposition("form-data; name=\"say %22hi%22\""));
    CHECK_EQUAL("[a/C:\\x.txt]x.end", disposition(R"(form-data; name="a"; filename="C:\x.txt")"));
    CHECK_EQUAL("[a/\"]x.end", disposition(R"(form-data; name="a"; filename="\"")"));
    CHECK_EQUAL("[a/]x.end", disposition("form-data; name=\"a\"; filename=\"\""));
    CHECK_EQUAL("[\xc3\xa4;=]x.end", disposition("Form-Data;NAME=\"\xc3\xa4;=\";x=y"));
    CHECK_EQUAL("[]x.end", disposition("form-data; name=\"\""));
}

TEST(Multipart, TheExtendedFilenameIsIgnored) {
    CHECK_EQUAL("[a/x]x.end", disposition("form-data; name=a; filename=x; filename*=utf-8''y"));
    CHECK_EQUAL("[a]x.end", disposition("form-data; name=a; filename*=utf-8''y"));
}

TEST(Multipart, DispositionsThatNameNothingAreRefused) {
    for (const char* value :
         {"attachment; name=a", "form-data", "form-data; filename=a", "form-data; name=a; name=b",
          "form-data; name=a; filename=x; filename=y", "form-data; name=\"a", "form-data; name=a b",
          "form-data, name=a", "", "form-data; name=a; filename=\"a\"; b\"", "form-data; name=a\t\x01"})
        STRCMP_CONTAINS("multipart: a part has", disposition(value).c_str());
}

TEST(Multipart, HeadersAreAllKept) {
    MultipartParser parser("b");
    const std::string text = part("x", std::string(kHead) + "X-One: 1\r\nx-two:2\r\n");
    std::string_view input = text;
    CHECK(parser.next(input) == Step::part);
    CHECK_EQUAL("1"sv, parser.part().header("x-one"));
    CHECK_EQUAL("2"sv, parser.part().header("X-Two"));
    CHECK_EQUAL(""sv, parser.part().header("X-Three"));
    CHECK_EQUAL(3, parser.part().headers.size());
}

TEST(Multipart, MalformedBodiesAreRefused) {
    const std::string good = part("x");
    for (const std::string& body : {
             "--bx\r\n" + good,
             "--b-x\r\n" + good,
             "--b x\r\n" + good,
             "--b\n" + good,
             "--b\rx" + good,
             good + "--bb\r\n",
             good + "--b\r\n\r\n",
             part("x", "No colon\r\n"),
             part("x", " folded: x\r\n"),
             part("x", std::string(kHead) + " folded\r\n"),
             part("x", ": x\r\n"),
             part("x", "X : y\r\n"),
             part("x", std::string(kHead) + "X: \x01\r\n"),
             part("x", std::string(kHead) + "X: a\rb\r\n"),
             part("x", std::string(kHead) + std::string(kHead)),
             part("x", std::string(kHead) + "X: y\n"),
             part("x", "\n" + std::string(kHead)),
             part("x", ""),
             part("x", std::string(kHead) + "Content-Type: a/b\r\ncontent-type: c/d\r\n"),
             part("x", std::string(kHead) + "Content-Transfer-Encoding: base64\r\n"),
             part("x", std::string(kHead) + "Content-Transfer-Encoding: quoted-printable\r\n"),
         })
        STRCMP_CONTAINS("Bad message", read(body + "--b--").c_str());
}

TEST(Multipart, PlainEncodingsAreGood) {
    for (const char* name : {"binary", "8BIT", "7bit"})
        CHECK_EQUAL(
            "[a]x.end",
            read(part("x", std::string(kHead) + "Content-Transfer-Encoding: " + name + "\r\n") + "--b--"));
}

TEST(Multipart, AnEndInTheMiddleIsSeen) {
    const std::string whole = part("x") + "--b--";
    for (std::size_t size = 0; size < whole.size(); ++size)
        STRCMP_CONTAINS("ends in the middle", read(whole.substr(0, size)).c_str());
}

TEST(Multipart, PartsAreCounted) {
    limits.parts = 2;
    CHECK_EQUAL("[a]x.[a]y.end", read(part("x") + part("y") + "--b--"));
    STRCMP_CONTAINS("too many parts", read(part("x") + part("y") + part("z") + "--b--").c_str());
}

TEST(Multipart, PartsHaveALimit) {
    limits.part = 4;
    CHECK_EQUAL("[a]\r\n--.[a]1234.end", read(part("\r\n--") + part("1234") + "--b--"));
    STRCMP_CONTAINS("a part", read(part("12345") + "--b--").c_str());
    STRCMP_CONTAINS("a part", read(part("123\r\n") + "--b--").c_str());
}

TEST(Multipart, TheWholeHasALimit) {
    const std::string body = part("x") + "--b--";
    limits.total = body.size();
    CHECK_EQUAL("[a]x.end", read(body));
    limits.total = body.size() - 1;
    STRCMP_CONTAINS("the body", read(body).c_str());
    limits.total = body.size() + 9;
    STRCMP_CONTAINS("the body", read(body + "1234567890").c_str());
}

TEST(Multipart, HeadersHaveLimits) {
    limits.header_bytes = kHead.size() + 2 + 6;
    CHECK_EQUAL("[a]x.end", read(part("x", std::string(kHead) + "X: y\r\n") + "--b--"));
    STRCMP_CONTAINS("the headers", read(part("x", std::string(kHead) + "X: yy\r\n") + "--b--").c_str());
    limits = {};
    limits.header_count = 1;
    CHECK_EQUAL("[a]x.end", read(part("x") + "--b--"));
    STRCMP_CONTAINS("too many headers", read(part("x", std::string(kHead) + "X: y\r\n") + "--b--").c_str());
}

TEST(Multipart, LimitsAreTheirOwnError) {
    limits.parts = 0;
    MultipartParser parser("b", limits);
    std::string_view input = "--b\r\n";
    CHECK(parser.next(input) == Step::refused);
    CHECK(parser.error() == nutils::NetError::too_long);
}

TEST_GROUP_BASE(MultipartBoundary, test_support::Fixture){};

TEST(MultipartBoundary, IsFoundInTheType) {
    CHECK_EQUAL("x", boundary_of("multipart/form-data; boundary=x"));
    CHECK_EQUAL("a b", boundary_of("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b\""));
    CHECK_EQUAL("----WebKitFormBoundary7MA4YWxkTrZu0gW",
                boundary_of("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"));
    CHECK_EQUAL(std::string(70, '-'), boundary_of("multipart/form-data; boundary=" + std::string(70, '-')));
}

TEST(MultipartBoundary, ABadOneIsRefused) {
    for (const char* parameters :
         {"", ";", "; boundary", "; boundary=", "; boundary=\"\"", "; boundary=\"a \"",
          "; boundary=a; boundary=b", "; boundary=\"a\r\n\"", "; boundary=\"a*\"", "; boundary=\"\xc3\xa4\"",
          "; boundary=\"a", "; boundary=a b"})
        CHECK_EQUAL("refused", boundary_of("multipart/form-data" + std::string(parameters)));
    CHECK_EQUAL("refused", boundary_of("multipart/form-data; boundary=" + std::string(71, '-')));
}

TEST(MultipartBoundary, AnotherTypeIsNotSupported) {
    for (const char* type : {"", "text/plain; boundary=x", "multipart/mixed; boundary=x"})
        CHECK(multipart_boundary(type).error() == std::errc::not_supported);
}
