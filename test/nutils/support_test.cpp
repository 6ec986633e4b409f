// The tools in test/support, which every layer's tests rely on.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "nutils/socket_ops.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/net_strings.h"
#include "test/support/pipe_stream.h"
#include "test/support/socket_pairs.h"

#include "CppUTest/TestTestingFixture.h"

using namespace nutils;
using namespace test_support;
using namespace std::chrono_literals;

TEST_GROUP(FaultInjection) { FaultInjection faults; };

TEST(FaultInjection, FailsSoManyCallsAndNoMore) {
    faults.fail("socket", EMFILE, 2);
    CHECK(!socket_stream(AF_UNIX));
    CHECK(!socket_stream(AF_UNIX));
    CHECK(socket_stream(AF_UNIX));
    LONGS_EQUAL(3, faults.calls("socket"));
}

TEST(FaultInjection, LetsSomeCallsThroughFirst) {
    faults.fail("socket", EMFILE, 1, 1);
    CHECK(socket_stream(AF_UNIX));
    CHECK(!socket_stream(AF_UNIX));
}

TEST(FaultInjection, FailsTheNthCallOfAnyName) {
    faults.fail_nth(2, EMFILE);
    CHECK(socket_stream(AF_UNIX));  // socket, close
    CHECK(stream_pair());           // the third
    LONGS_EQUAL(1, faults.failed());
    faults.fail_nth(1, EMFILE);
    CHECK(!socket_stream(AF_UNIX));
}

TEST(FaultInjection, ASweepMeetsEveryCallOnce) {
    std::vector<bool> made;
    const long failures = for_each_failing_call(EMFILE, [&] { made.push_back(stream_pair().ok()); });
    // socketpair fails; each of the two closes "fails"; the last run meets nothing.
    LONGS_EQUAL(3, failures);
    CHECK(made == std::vector<bool>({false, true, true, true}));
}

TEST(FaultInjection, IsForgottenWithItsOwner) {
    {
        FaultInjection inner;
        inner.fail("socket", EMFILE, FaultInjection::kAlways);
    }
    CHECK(socket_stream(AF_UNIX));
}

TEST(FaultInjection, AnUnknownCallAborts) {
    STRCMP_CONTAINS("no such wrapped call", abort_message([&] { faults.fail("getpid", EPERM); }).c_str());
}

TEST(FaultInjection, CutsMessagesInTheMiddleOfAPiece) {
    const SocketPair pair = unix_pair();
    faults.limit("recvmsg", 4);
    CHECK(send_some(pair.near.get(), "hello"));
    char one[3];
    char two[8];
    const iovec pieces[] = {{one, 3}, {two, 8}};
    LONGS_EQUAL(4, recvv_some(pair.far.get(), pieces).bytes);
}

namespace {
// An allocation that the compiler does not see through: it may leave out those nobody looks at.
std::unique_ptr<char[]> allocate() {
    auto block = std::make_unique<char[]>(10);
    asm volatile("" : : "r"(block.get()) : "memory");
    return block;
}
}  // namespace

TEST_GROUP(AllocationFaults){};

TEST(AllocationFaults, FailsTheNthAllocation) {
    AllocationFaults faults;
    faults.fail_nth(2);
    const auto one = allocate();
    bool failed = false;
    try {
        const auto two = allocate();
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    const auto three = allocate();
    faults.stop();
    CHECK(failed);
    LONGS_EQUAL(3, faults.count());
    LONGS_EQUAL(1, faults.failed());
}

TEST(AllocationFaults, ReachesArraysAndTheStandardLibrary) {
    AllocationFaults faults;
    faults.fail_all();
    bool array = false;
    bool text = false;
    try {
        (void)allocate();
    } catch (const std::bad_alloc&) {
        array = true;
    }
    try {
        std::string(1000, 'x').append(1000, 'y');
    } catch (const std::bad_alloc&) {
        text = true;
    }
    faults.stop();
    CHECK(array && text);
}

TEST(AllocationFaults, WhatWasAllocatedMeanwhileCanBeFreedLater) {
    std::unique_ptr<std::string> kept;
    {
        AllocationFaults faults;
        faults.fail_nth(100);
        kept = std::make_unique<std::string>(1000, 'x');
    }
    CHECK(kept->size() == 1000);
}

TEST_GROUP(FdLeakCheck){};

TEST(FdLeakCheck, NamesWhatWasLeftOpen) {
    const FdLeakCheck check;
    const UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK_EQUAL(std::to_string(fd.get()) + " -> /dev/null", check.leaked());
}

TEST(FdLeakCheck, SaysNothingWhenAllIsClosed) {
    const FdLeakCheck check;
    ::close(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK_EQUAL("", check.leaked());
}

TEST_GROUP(PipeStream) { char buffer[16]; };

TEST(PipeStream, HandsDataOverInFragments) {
    PipePair pipe({.fragment = 3});
    LONGS_EQUAL(3, pipe.near.send("hello", 1s).bytes);
    CHECK(pipe.near.send("lo", 1s));
    LONGS_EQUAL(3, pipe.far.recv(buffer, 1s).bytes);
    LONGS_EQUAL(2, pipe.far.recv(buffer, 1s).bytes);
}

TEST(PipeStream, AVainWaitTakesVirtualTimeOnly) {
    PipePair pipe;
    CHECK(pipe.far.recv(buffer, 1h).timed_out());
    CHECK_EQUAL(cutils::Duration(1h), pipe.now().time_since_epoch());
}

TEST(PipeStream, BothDirectionsAreIndependent) {
    PipePair pipe;
    CHECK(pipe.near.send("a", 1s));
    CHECK(pipe.far.send("b", 1s));
    CHECK(pipe.near.recv(buffer, 1s));
    LONGS_EQUAL('b', buffer[0]);
}

TEST(PipeStream, EndsLikeASocket) {
    PipePair pipe;
    CHECK(pipe.near.send("last", 1s));
    CHECK(pipe.near.shutdown_send());
    CHECK(pipe.near.send("x", 1s).error == std::errc::broken_pipe);
    LONGS_EQUAL(4, pipe.far.recv(buffer, 1s).bytes);
    CHECK(pipe.far.recv(buffer, 1s).eof());
    pipe.far.close();
    CHECK(pipe.far.recv(buffer, 1s).closed());
    CHECK(pipe.far.send("x", 1s).closed());
    CHECK(pipe.near.recv(buffer, 1s).eof());
}

TEST(PipeStream, BreaksWhenTold) {
    PipePair pipe;
    pipe.far.break_with(std::make_error_code(std::errc::connection_reset));
    CHECK(pipe.far.recv(buffer, 1s).error == std::errc::connection_reset);
    CHECK(pipe.far.recv(buffer, 1s).timed_out());
}

TEST_GROUP(AbortMessage){};

TEST(AbortMessage, OfWhatDoesNotAbortSaysSo) {
    CHECK_EQUAL("did not abort", abort_message([] {}));
}

TEST(AbortMessage, OfAnExceptionIsNotAnAbort) {
    CHECK_EQUAL("did not abort", abort_message([] { throw std::runtime_error("out of luck"); }));
}

namespace {

// A test of its own, run inside a test.
struct ThrowingTest : Fixture {
    void testBody() override { throw std::runtime_error("out of luck"); }
    void teardown() override { ++teardowns; }
    static inline int teardowns = 0;
};
struct ThrowingShell : UtestShell {
    ThrowingShell() : UtestShell("Inner", "Throwing", "inner.cpp", 1) {}
    Utest* createTest() override { return new ThrowingTest; }
};

}  // namespace

TEST_GROUP(Fixture){};

TEST(Fixture, MakesAForeignExceptionAFailureAndStillTearsDown) {
    ThrowingTest::teardowns = 0;
    ThrowingShell shell;
    TestTestingFixture inner;
    inner.addTest(&shell);
    inner.runAllTests();
    LONGS_EQUAL(1, inner.getFailureCount());
    inner.assertPrintContains("an exception left the test: out of luck");
    LONGS_EQUAL(1, ThrowingTest::teardowns);
}
