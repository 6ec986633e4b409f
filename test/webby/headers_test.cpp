#include "webby/headers.h"

#include <string>
#include <string_view>

#include "test/support/harness.h"

using namespace webby;

TEST_GROUP(Headers) {
    const std::string text = "Host: a Accept: x accept: y Empty: ";
    Headers headers;

    void setup() override {
        const std::string_view all = text;
        headers.set_text(all.data());
        headers.add(all.substr(0, 4), all.substr(6, 1));
        headers.add(all.substr(8, 6), all.substr(16, 1));
        headers.add(all.substr(18, 6), all.substr(26, 1));
        headers.add(all.substr(28, 5), all.substr(35, 0));
    }
};

TEST(Headers, AreFoundWhateverTheirCase) {
    CHECK(headers.find("hOST") == "a");
    CHECK(headers.find("Accept") == "x");
    CHECK_FALSE(headers.find("Accep").has_value());
}

TEST(Headers, AnEmptyValueIsAValue) {
    CHECK(headers.has("empty"));
    CHECK(headers.find("Empty") == "");
}

TEST(Headers, OfOneNameAreJoinedInOrder) {
    CHECK(headers.joined("ACCEPT") == "x, y");
    CHECK(headers.joined("None").empty());
}

TEST(Headers, AreWalkedInOrder) {
    std::string names;
    for (const auto field : headers) names.append(field.name).append(" ");
    CHECK(names == "Host Accept accept Empty ");
}

TEST(Headers, FollowTheirTextWhenItMoves) {
    const std::string copy = text;
    headers.set_text(copy.data());
    CHECK(headers.find("Host")->data() == copy.data() + 6);
}

TEST(Headers, ListsHaveTokens) {
    CHECK(list_has_token("close", "Close"));
    CHECK(list_has_token("a, b ,  close", "close"));
    CHECK_FALSE(list_has_token("closed, clos", "close"));
    CHECK_FALSE(list_has_token("", "close"));
}
