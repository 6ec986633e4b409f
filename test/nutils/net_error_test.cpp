#include "nutils/net_error.h"

#include <cerrno>
#include <string>

#include "test/support/net_strings.h"

using namespace nutils;

namespace {

struct Expected {
    NetError error;
    std::errc condition;
    int number;
};

constexpr Expected kAllErrors[] = {
    {NetError::eof, std::errc::no_message_available, ENODATA},
    {NetError::timed_out, std::errc::timed_out, ETIMEDOUT},
    {NetError::canceled, std::errc::operation_canceled, ECANCELED},
    {NetError::busy, std::errc::device_or_resource_busy, EBUSY},
    {NetError::closed, std::errc::bad_file_descriptor, EBADF},
    {NetError::would_block, std::errc::operation_would_block, EAGAIN},
    {NetError::in_progress, std::errc::operation_in_progress, EINPROGRESS},
    {NetError::refused, std::errc::connection_refused, ECONNREFUSED},
    {NetError::too_long, std::errc::message_size, EMSGSIZE},
    {NetError::truncated, std::errc::connection_aborted, ECONNABORTED},
};

// An error made before main() begins, by a constructor that runs before ordinary ones.
struct EarlyError {
    std::error_code code = NetError::busy;
};
__attribute__((init_priority(200))) EarlyError early_error;

class ForeignCategory : public std::error_category {
  public:
    const char* name() const noexcept override { return "foreign"; }
    std::string message(int) const override { return "foreign"; }
};

}  // namespace

TEST_GROUP(NetError){};

TEST(NetError, IsInACategoryNamedNet) {
    STRCMP_EQUAL("net", make_error_code(NetError::eof).category().name());
}

TEST(NetError, EveryErrorIsTrue) {
    for (const auto& expected : kAllErrors) CHECK(bool(make_error_code(expected.error)));
}

TEST(NetError, ConvertsToAnErrorCodeByItself) {
    const std::error_code code = NetError::canceled;
    CHECK(code == NetError::canceled);
    CHECK(code != NetError::busy);
}

TEST(NetError, EqualsTheMatchingErrc) {
    for (const auto& expected : kAllErrors) CHECK(make_error_code(expected.error) == expected.condition);
}

TEST(NetError, WouldBlockEqualsBothNamesOfTryAgain) {
    CHECK(make_error_code(NetError::would_block) == std::errc::resource_unavailable_try_again);
    CHECK(make_error_code(NetError::would_block) == std::errc::operation_would_block);
}

TEST(NetError, EqualsNoOtherErrc) {
    for (const auto& one : kAllErrors)
        for (const auto& other : kAllErrors)
            if (one.error != other.error) CHECK(make_error_code(one.error) != other.condition);
}

TEST(NetError, OurDeadlineIsNotTheKernelsTimeout) {
    const std::error_code kernel(ETIMEDOUT, std::generic_category());
    CHECK(kernel == std::errc::timed_out);
    CHECK(kernel != NetError::timed_out);
}

TEST(NetError, EveryErrorHasWordsOfItsOwn) {
    for (const auto& one : kAllErrors) {
        CHECK(make_error_code(one.error).message() != "unknown network error");
        for (const auto& other : kAllErrors)
            if (one.error != other.error)
                CHECK(make_error_code(one.error).message() != make_error_code(other.error).message());
    }
}

TEST(NetError, AnUnknownNumberHasWordsAndNoErrc) {
    const std::error_code unknown(4711, net_category());
    STRCMP_EQUAL("unknown network error", unknown.message().c_str());
    CHECK(unknown.default_error_condition().category() == net_category());
}

TEST(NetError, CanBeMadeBeforeMain) { CHECK_EQUAL(NetError::busy, early_error.code); }

TEST(NetError, FromErrnoEagainIsWouldBlock) { CHECK_EQUAL(NetError::would_block, errno_code(EAGAIN)); }

TEST(NetError, FromErrnoEverythingElseIsGeneric) {
    CHECK_EQUAL(std::error_code(ECONNRESET, std::generic_category()), errno_code(ECONNRESET));
    CHECK_EQUAL(std::error_code(ETIMEDOUT, std::generic_category()), errno_code(ETIMEDOUT));
}

TEST(NetError, FromErrnoZeroIsNoError) { CHECK(!errno_code(0)); }

TEST_GROUP(ToErrno){};

TEST(ToErrno, OfNoErrorIsZero) {
    LONGS_EQUAL(0, to_errno({}));
    LONGS_EQUAL(0, to_errno(std::error_code(0, net_category())));
}

TEST(ToErrno, OfEveryNetErrorIsWhatTheHeaderSays) {
    for (const auto& expected : kAllErrors) LONGS_EQUAL(expected.number, to_errno(expected.error));
}

TEST(ToErrno, OfSystemAndGenericCodesIsTheirValue) {
    LONGS_EQUAL(ECONNRESET, to_errno({ECONNRESET, std::generic_category()}));
    LONGS_EQUAL(EPIPE, to_errno({EPIPE, std::system_category()}));
}

TEST(ToErrno, OfAForeignCategoryIsEio) {
    const ForeignCategory foreign;
    LONGS_EQUAL(EIO, to_errno({7, foreign}));
}

TEST(ToErrno, OfAnUnknownNetErrorIsEio) { LONGS_EQUAL(EIO, to_errno({4711, net_category()})); }
