#include "nutils/iovecs.h"

#include <array>
#include <string>

#include "test/support/harness.h"

using namespace nutils;

namespace {
std::string text_of(std::span<const iovec> pieces) {
    std::string text;
    for (const iovec& piece : pieces)
        text += std::string(static_cast<const char*>(piece.iov_base), piece.iov_len) + "|";
    return text;
}
}  // namespace

TEST_GROUP(Iovecs) {
    std::array<iovec, 4> pieces = {piece_of("ab"), piece_of(""), piece_of("cde"), piece_of("f")};
};

TEST(Iovecs, TotalSizeIsTheSum) {
    LONGS_EQUAL(6, total_size(pieces));
    LONGS_EQUAL(0, total_size({}));
}

TEST(Iovecs, AdvancedByNothingDropsEmptyPiecesInFront) {
    CHECK_EQUAL("ab||cde|f|", text_of(advanced(pieces, 0)));
    std::array<iovec, 2> empty_first = {piece_of(""), piece_of("x")};
    CHECK_EQUAL("x|", text_of(advanced(empty_first, 0)));
}

TEST(Iovecs, AdvancedIntoAPieceShortensIt) { CHECK_EQUAL("b||cde|f|", text_of(advanced(pieces, 1))); }

TEST(Iovecs, AdvancedToTheEndOfAPieceDropsItAndEmptyOnesBehind) {
    CHECK_EQUAL("cde|f|", text_of(advanced(pieces, 2)));
    CHECK_EQUAL("f|", text_of(advanced(pieces, 3)));
}

TEST(Iovecs, AdvancedLeavesTheArrayDescribingWhatIsLeft) {
    (void)advanced(pieces, 3);
    CHECK_EQUAL("||de|f|", text_of(pieces));
}

TEST(Iovecs, WithoutEmptyFrontKeepsWhatIsBehind) {
    const std::array<iovec, 4> some = {piece_of(""), piece_of(""), piece_of("x"), piece_of("")};
    LONGS_EQUAL(2, without_empty_front(some).size());
    CHECK(without_empty_front({}).empty());
}

TEST(Iovecs, AdvancedByEverythingIsEmpty) {
    CHECK(advanced(pieces, 6).empty());
    CHECK(advanced({}, 0).empty());
}

TEST(Iovecs, StepByStepIsTheSameAsAtOnce) {
    std::span<iovec> left = pieces;
    std::string text;
    while (!(left = advanced(left, 0)).empty()) {
        text += *static_cast<const char*>(left.front().iov_base);
        left = advanced(left, 1);
    }
    CHECK_EQUAL("abcdef", text);
}
