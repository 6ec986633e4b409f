#include "nutils/pipe_ops.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "nutils/socket_options.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(PipeOps, Fixture) {
    FaultInjection faults;
    PipeEnds ends;
    void setup() override { ends = make_pipe().value(); }
    [[nodiscard]] std::string read(std::size_t size = 100) const {
        std::string text(size, '\0');
        text.resize(read_some(ends.reading.get(), text).bytes);
        return text;
    }
};

TEST(PipeOps, EndsAreCloseOnExecAndBlocking) {
    for (const int fd : {ends.reading.get(), ends.writing.get()}) {
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK_EQUAL(0, ::fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
}

TEST(PipeOps, WhatIsWrittenCanBeRead) {
    CHECK_EQUAL(5, write_some(ends.writing.get(), "hello").bytes);
    CHECK_EQUAL("hel", read(3));
    CHECK_EQUAL("lo", read());
}

TEST(PipeOps, PiecesAreWrittenTogether) {
    char one[] = "one ", two[] = "two";
    const iovec pieces[] = {{one, 4}, {two, 3}};
    CHECK_EQUAL(7, writev_some(ends.writing.get(), pieces).bytes);
    CHECK_EQUAL("one two", read());
}

TEST(PipeOps, MoreThan1024PiecesAreCut) {
    char byte[] = "x";
    const std::vector<iovec> pieces(2000, iovec{byte, 1});
    CHECK_EQUAL(1024, writev_some(ends.writing.get(), pieces).bytes);
}

TEST(PipeOps, AnEmptyPipeWouldBlock) {
    CHECK(!set_nonblocking(ends.reading.get(), true));
    char byte;
    CHECK(read_some(ends.reading.get(), {&byte, 1}).would_block());
}

TEST(PipeOps, AReaderThatGoesInTheMiddleRaisesNoSignal) {
    faults.limit("write", 3);
    faults.before("write", [] { ::raise(SIGPIPE); });  // as the kernel does, and still says 3
    CHECK_EQUAL(3, write_some(ends.writing.get(), "hello").bytes);
}

TEST(PipeOps, AFullPipeWouldBlock) {
    CHECK(!set_nonblocking(ends.writing.get(), true));
    const std::string block(1 << 20, 'x');
    CHECK(write_some(ends.writing.get(), block).bytes > 0);
    CHECK(write_some(ends.writing.get(), block).would_block());
}

TEST(PipeOps, WithoutWritersThereIsTheEnd) {
    ends.writing.reset();
    char byte;
    CHECK(read_some(ends.reading.get(), {&byte, 1}).eof());
}

TEST(PipeOps, WithoutReadersWritingIsAnErrorAndNoSignal) {
    ends.reading.reset();
    CHECK(write_some(ends.writing.get(), "x").error == std::errc::broken_pipe);
    sigset_t pending;
    ::sigpending(&pending);
    CHECK(!::sigismember(&pending, SIGPIPE));
}

TEST(PipeOps, InterruptedCallsAreRepeated) {
    faults.fail("write", EINTR, 3);
    CHECK_EQUAL(1, write_some(ends.writing.get(), "x").bytes);
    faults.fail("read", EINTR, 3);
    CHECK_EQUAL("x", read());
}

TEST(PipeOps, OtherErrorsComeOut) {
    CHECK(write_some(ends.reading.get(), "x").error == std::errc::bad_file_descriptor);
    char byte;
    CHECK(read_some(ends.writing.get(), {&byte, 1}).error == std::errc::bad_file_descriptor);
}

TEST(PipeOps, AnEmptyBufferAborts) {
    STRCMP_CONTAINS("empty buffer", abort_message([&] { (void)read_some(ends.reading.get(), {}); }).c_str());
}
