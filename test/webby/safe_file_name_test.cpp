#include "webby/safe_file_name.h"

#include <string>
#include <string_view>

#include "webby/utf8_text.h"

#include "test/support/harness.h"

using webby::safe_file_name;
using namespace std::string_view_literals;

TEST_GROUP_BASE(SafeFileName, test_support::Fixture){};

TEST(SafeFileName, AGoodNameStaysAsItIs) {
    for (const char* name : {"a", "photo 1.jpg", "a.tar.gz", "\xc3\xa4\xe2\x82\xac.txt", "a..b",
                             "console.log", "com.txt", "com10", "nullable", "x-y_z(1)[2]{3}~,;'&%$#@!+="})
        CHECK_EQUAL(std::string(name), safe_file_name(name));
}

TEST(SafeFileName, FoldersAreLeftOut) {
    CHECK_EQUAL("passwd", safe_file_name("../../etc/passwd"));
    CHECK_EQUAL("x.txt", safe_file_name("C:\\Users\\me\\x.txt"));
    CHECK_EQUAL("profile", safe_file_name("C:\\x\\..\\.profile"));
    CHECK_EQUAL("b", safe_file_name("/a\\b"));
}

TEST(SafeFileName, IsNeverEmpty) {
    for (const std::string_view name : {""sv, "."sv, ".."sv, "..."sv, " . . "sv, "/"sv, "a/"sv, "a\\"sv,
                                        "\0"sv, "\r\n"sv, "\xe2\x80\xae"sv, ".\xe2\x80\x8b."sv.substr(1, 3)})
        CHECK_EQUAL("file", safe_file_name(name));
}

TEST(SafeFileName, DotsAndBlanksAroundAreLeftOut) {
    CHECK_EQUAL("htaccess", safe_file_name("..htaccess"));
    CHECK_EQUAL("a", safe_file_name(" a. ."));
    CHECK_EQUAL("b", safe_file_name("\x01.\x02.b"));  // a control does not hide a dot
}

TEST(SafeFileName, ControlsAndTricksAreLeftOut) {
    CHECK_EQUAL("ab", safe_file_name("a\0\r\n\x1b\x7f"
                                     "b"sv));
    CHECK_EQUAL("ab", safe_file_name("a\xc2\x85"
                                     "b"));
    CHECK_EQUAL("invoicegpj.exe", safe_file_name("invoice\xe2\x80\xaegpj.exe"));
    for (const char* trick : {"\xe2\x80\x8b", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xaa", "\xe2\x81\xa6",
                              "\xe2\x81\xa9", "\xd8\x9c", "\xef\xbb\xbf", "\xf3\xa0\x81\x81"})
        CHECK_EQUAL("ab", safe_file_name(std::string("a") + trick + "b"));
}

TEST(SafeFileName, WhatWindowsDoesNotTakeIsReplaced) {
    CHECK_EQUAL("a_b_c_d_e_f_g_h", safe_file_name("a<b>c:d\"e|f?g*h"));
    for (const char* name :
         {"CON", "nul.txt", "Aux.tar.gz", "com1", "LPT9.x", "com\xc2\xb9", "nul .txt", "CONIN$", "..nul"})
        CHECK_EQUAL('_', safe_file_name(name).front());
}

TEST(SafeFileName, IsNoOptionOfAProgram) { CHECK_EQUAL("_rf", safe_file_name("-rf")); }

TEST(SafeFileName, BrokenUtf8IsReplaced) {
    CHECK_EQUAL("a\xef\xbf\xbd.x", safe_file_name("a\xff.x"));
    CHECK_EQUAL(
        "\xef\xbf\xbd"
        "b",
        safe_file_name("\xc0\xaf"
                       "b")
            .substr(3));
}

TEST(SafeFileName, IsCutBetweenCharactersWithItsExtension) {
    CHECK_EQUAL(std::string(196, 'x') + ".jpg", safe_file_name(std::string(500, 'x') + ".jpg"));
    CHECK_EQUAL(std::string(200, 'x'), safe_file_name(std::string(500, 'x')));
    std::string umlauts;
    for (int i = 0; i < 100; ++i) umlauts += "\xc3\xa4";
    for (std::size_t bytes = 16; bytes < 40; ++bytes) {
        const std::string name = safe_file_name(umlauts + ".png", bytes);
        CHECK(name.size() == bytes || name.size() == bytes - 1);
        CHECK(webby::is_utf8(name));
        CHECK(name.ends_with(".png"));
    }
    CHECK_EQUAL(std::string(16, 'a'), safe_file_name("aaaaaaaaaaaaaaaaaaaa." + std::string(100, 'b'), 16));
}

TEST(SafeFileName, StaysWithinItsLengthWhenItIsADevice) {
    CHECK(safe_file_name("nul." + std::string(300, 'x'), 16).size() <= 16);
}

TEST(SafeFileName, BecomesNoDeviceByBeingCut) {
    CHECK_EQUAL("_nul", safe_file_name("nul" + std::string(100, ' ') + "x", 16));
    CHECK_EQUAL("_com1.txt", safe_file_name("com1" + std::string(100, ' ') + "x.txt", 16));
}
