#include "nutils/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"

using nutils::UniqueFd;
using test_support::abort_message;
using test_support::FaultInjection;

namespace {
int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
}  // namespace

TEST_GROUP(UniqueFd) { FaultInjection faults; };

TEST(UniqueFd, IsEmptyAtFirst) {
    const UniqueFd fd;
    CHECK(!fd);
    LONGS_EQUAL(-1, fd.get());
}

TEST(UniqueFd, OfAFailedCallIsEmpty) {
    const UniqueFd fd(-1);
    CHECK(!fd);
    const UniqueFd odd(-7);
    LONGS_EQUAL(-1, odd.get());
}

TEST(UniqueFd, DescriptorZeroIsADescriptor) {
    UniqueFd fd(0);
    CHECK(bool(fd));
    LONGS_EQUAL(0, fd.release());
}

TEST(UniqueFd, ClosesWhenItDies) {
    const int number = open_null();
    { const UniqueFd fd(number); }
    CHECK(!is_open(number));
}

TEST(UniqueFd, AnEmptyOneClosesNothing) {
    { const UniqueFd fd; }
    LONGS_EQUAL(0, faults.calls("close"));
}

TEST(UniqueFd, MovingHandsTheDescriptorOver) {
    UniqueFd from(open_null());
    const int number = from.get();
    const UniqueFd to(std::move(from));
    LONGS_EQUAL(number, to.get());
    CHECK(!from);  // NOLINT: what a moved-from one is, is the claim
    CHECK(is_open(number));
}

TEST(UniqueFd, MoveAssignmentClosesWhatWasThere) {
    UniqueFd a(open_null());
    UniqueFd b(open_null());
    const int old = a.get();
    const int taken = b.get();
    a = std::move(b);
    LONGS_EQUAL(taken, a.get());
    CHECK(!is_open(old));
}

TEST(UniqueFd, MoveAssignmentToItselfKeepsTheDescriptor) {
    UniqueFd fd(open_null());
    UniqueFd& same = fd;
    fd = std::move(same);
    CHECK(is_open(fd.get()));
}

TEST(UniqueFd, CannotBeCopied) {
    CHECK(!std::is_copy_constructible_v<UniqueFd>);
    CHECK(!std::is_copy_assignable_v<UniqueFd>);
}

TEST(UniqueFd, ReleaseGivesTheDescriptorAway) {
    const int number = open_null();
    UniqueFd fd(number);
    LONGS_EQUAL(number, fd.release());
    CHECK(!fd);
    CHECK(is_open(number));
    ::close(number);
}

TEST(UniqueFd, ResetClosesAndTakesAnother) {
    UniqueFd fd(open_null());
    const int old = fd.get();
    const int next = open_null();
    fd.reset(next);
    CHECK(!is_open(old));
    LONGS_EQUAL(next, fd.get());
}

TEST(UniqueFd, ClosingIsTriedOnceEvenWhenInterrupted) {
    const int number = open_null();
    faults.fail("close", EINTR);
    { const UniqueFd fd(number); }
    LONGS_EQUAL(1, faults.calls("close"));
    CHECK(!is_open(number));
}

TEST(UniqueFd, ClosingKeepsErrno) {
    faults.fail("close", EIO);
    UniqueFd fd(open_null());
    errno = EAGAIN;
    fd.reset();
    LONGS_EQUAL(EAGAIN, errno);
}

TEST(UniqueFd, ClosingTwiceAborts) {
    STRCMP_CONTAINS("closed it twice", abort_message([] {
                                           const int number = open_null();
                                           const UniqueFd one(number);
                                           const UniqueFd two(number);
                                       }).c_str());
}
