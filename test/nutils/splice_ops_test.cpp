#include "nutils/splice_ops.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <csignal>

#include <cerrno>
#include <string>

#include "nutils/socket_ops.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(SpliceOps, Fixture) {
    FaultInjection faults;
    SocketPair in = unix_pair();
    SocketPair out = unix_pair();
    PipeEnds pipe = make_splice_pipe().value();

    void check_carries(const SocketPair& from, const SocketPair& to) {
        CHECK(send_some(from.far.get(), "hello"));
        wait_for(from.near.get(), POLLIN);
        LONGS_EQUAL(5, splice_in(from.near.get(), pipe, 65536).bytes);
        LONGS_EQUAL(5, splice_out(pipe, to.near.get(), 5).bytes);
        char buffer[16];
        wait_for(to.far.get(), POLLIN);
        LONGS_EQUAL(5, recv_some(to.far.get(), buffer).bytes);
        CHECK_EQUAL("hello", std::string(buffer, 5));
    }
};

TEST(SpliceOps, PipesAreNonblockingAndCloseOnExec) {
    for (const int fd : {pipe.reading.get(), pipe.writing.get()}) {
        CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST(SpliceOps, CarryBytesBetweenSocketsOfAnyKind) {
    check_carries(in, out);
    const SocketPair tcp = tcp_pair();
    check_carries(tcp, out);
    check_carries(in, tcp);
}

TEST(SpliceOps, SayWouldBlockWhenNothingIsThere) { CHECK(splice_in(in.near.get(), pipe, 100).would_block()); }

TEST(SpliceOps, SayWouldBlockWhenThereIsNoRoom) {
    const std::string block(65536, 'x');
    while (send_some(out.near.get(), block)) continue;
    CHECK(send_some(in.far.get(), "x"));
    LONGS_EQUAL(1, splice_in(in.near.get(), pipe, 100).bytes);
    CHECK(splice_out(pipe, out.near.get(), 1).would_block());
}

TEST(SpliceOps, RaiseNoSignalWhenThePeerGoesInTheMiddle) {
    CHECK(send_some(in.far.get(), "hello"));
    LONGS_EQUAL(5, splice_in(in.near.get(), pipe, 100).bytes);
    faults.before("splice", [] { ::raise(SIGPIPE); });  // as the kernel does, and still says 5
    LONGS_EQUAL(5, splice_out(pipe, out.near.get(), 100).bytes);
}

TEST(SpliceOps, SayEofAtTheEnd) {
    in.far.reset();
    CHECK(splice_in(in.near.get(), pipe, 100).eof());
}

TEST(SpliceOps, ToAPeerThatIsGoneIsAnErrorAndNoSignal) {
    CHECK(send_some(in.far.get(), "x"));
    LONGS_EQUAL(1, splice_in(in.near.get(), pipe, 100).bytes);
    out.far.reset();
    CHECK(splice_out(pipe, out.near.get(), 1).error == std::errc::broken_pipe);
}

TEST(SpliceOps, NeverLetEintrOut) {
    CHECK(send_some(in.far.get(), "x"));
    faults.fail("splice", EINTR, 2);
    LONGS_EQUAL(1, splice_in(in.near.get(), pipe, 100).bytes);
    faults.fail("splice", EINTR, 2);
    LONGS_EQUAL(1, splice_out(pipe, out.near.get(), 1).bytes);
}

TEST(SpliceOps, HandOutTheErrno) {
    CHECK_EQUAL(errno_code(EBADF), splice_in(-1, pipe, 1).error);
    CHECK_EQUAL(errno_code(EBADF), splice_out(pipe, -1, 1).error);
    faults.fail("pipe2", EMFILE);
    CHECK(make_splice_pipe().error() == std::errc::too_many_files_open);
}
