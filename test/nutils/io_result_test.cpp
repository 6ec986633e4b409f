#include "nutils/io_result.h"

#include <cerrno>
#include <type_traits>

#include "test/support/net_strings.h"

using namespace nutils;

TEST_GROUP(IoResult){};

TEST(IoResult, IsTrueWithoutAnError) {
    CHECK(bool(IoResult{}));
    CHECK(bool(IoResult{5, {}}));
}

TEST(IoResult, IsFalseWithAnErrorEvenWhenBytesMoved) {
    const IoResult result{5, NetError::timed_out};
    CHECK(!result);
    LONGS_EQUAL(5, result.bytes);
}

TEST(IoResult, SaysWhichErrorItIs) {
    CHECK(IoResult{0, NetError::eof}.eof());
    CHECK(IoResult{0, NetError::timed_out}.timed_out());
    CHECK(IoResult{0, NetError::canceled}.canceled());
    CHECK(IoResult{0, NetError::busy}.busy());
    CHECK(IoResult{0, NetError::closed}.closed());
    CHECK(IoResult{0, NetError::would_block}.would_block());
}

TEST(IoResult, SuccessIsNoneOfTheErrors) {
    const IoResult good{1, {}};
    CHECK(!good.eof() && !good.timed_out() && !good.canceled() && !good.busy() && !good.closed());
    CHECK(!good.would_block());
}

TEST(IoResult, AConnectionTheKernelGaveUpIsNotOurDeadline) {
    CHECK(!(IoResult{0, errno_code(ETIMEDOUT)}.timed_out()));
}

TEST(IoResult, OrThrowGivesTheBytes) { LONGS_EQUAL(7, (IoResult{7, {}}.or_throw())); }

TEST(IoResult, OrThrowThrowsTheSameCode) {
    try {
        (void)IoResult{3, NetError::closed}.or_throw();
        FAIL("did not throw");
    } catch (const std::system_error& error) {
        CHECK_EQUAL(NetError::closed, error.code());
    }
}

TEST(IoResult, IsAValueOfThreeWords) {
    CHECK(sizeof(IoResult) == 3 * sizeof(void*));
    CHECK(std::is_trivially_copyable_v<IoResult>);
}
