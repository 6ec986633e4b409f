#include "nutils/socket_ops.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "nutils/iovecs.h"
#include "nutils/socket_options.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;

namespace {

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }
bool is_close_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

// Sends until the kernel takes no more.
std::size_t fill(int fd) {
    const std::string block(65536, 'x');
    std::size_t total = 0;
    while (auto sent = send_some(fd, block)) total += sent.bytes;
    return total;
}

}  // namespace

// ---- recv_some ----

TEST_GROUP_BASE(RecvSome, Fixture) {
    FaultInjection faults;
    SocketPair pair = unix_pair();
    int fd = pair.near.get();
    char buffer[64];
};

TEST(RecvSome, TakesWhatIsThere) {
    CHECK(send_some(pair.far.get(), "hello"));
    const IoResult got = recv_some(fd, buffer);
    CHECK(got);
    CHECK_EQUAL("hello", std::string(buffer, got.bytes));
    LONGS_EQUAL(1, faults.calls("recv"));
}

TEST(RecvSome, TakesNoMoreThanTheBufferHolds) {
    CHECK(send_some(pair.far.get(), "hello"));
    LONGS_EQUAL(3, recv_some(fd, std::span(buffer, 3)).bytes);
    LONGS_EQUAL(2, recv_some(fd, buffer).bytes);
}

TEST(RecvSome, SaysWouldBlockWhenNothingIsThere) {
    const IoResult got = recv_some(fd, buffer);
    CHECK(got.would_block());
    LONGS_EQUAL(0, got.bytes);
}

TEST(RecvSome, NeverWaitsOnABlockingDescriptor) {
    CHECK(!set_nonblocking(fd, false));
    CHECK(recv_some(fd, buffer).would_block());
}

TEST(RecvSome, SaysEofAfterThePeerClosedAndRepeatsIt) {
    pair.far.reset();
    CHECK(recv_some(fd, buffer).eof());
    CHECK(recv_some(fd, buffer).eof());
}

TEST(RecvSome, GivesTheLastBytesBeforeEof) {
    CHECK(send_some(pair.far.get(), "end"));
    pair.far.reset();
    LONGS_EQUAL(3, recv_some(fd, buffer).bytes);
    CHECK(recv_some(fd, buffer).eof());
}

TEST(RecvSome, NeverLetsEintrOut) {
    CHECK(send_some(pair.far.get(), "hello"));
    faults.fail("recv", EINTR, 3);
    LONGS_EQUAL(5, recv_some(fd, buffer).bytes);
    LONGS_EQUAL(4, faults.calls("recv"));
}

TEST(RecvSome, SaysEofAfterEintr) {
    pair.far.reset();
    faults.fail("recv", EINTR);
    CHECK(recv_some(fd, buffer).eof());
}

TEST(RecvSome, HandsOutTheErrno) {
    faults.fail("recv", ECONNRESET);
    CHECK_EQUAL(errno_code(ECONNRESET), recv_some(fd, buffer).error);
}

TEST(RecvSome, PeekingLeavesTheBytes) {
    CHECK(send_some(pair.far.get(), "hello"));
    LONGS_EQUAL(5, recv_some(fd, buffer, MSG_PEEK).bytes);
    LONGS_EQUAL(5, recv_some(fd, buffer).bytes);
}

TEST(RecvSome, AnEmptyBufferAborts) {
    CHECK(send_some(pair.far.get(), "hello"));
    STRCMP_CONTAINS("empty buffer", abort_message([this] { (void)recv_some(fd, {}); }).c_str());
}

// ---- send_some, sendv_some, recvv_some ----

TEST_GROUP_BASE(SendSome, Fixture) {
    FaultInjection faults;
    SocketPair pair = unix_pair();
    int fd = pair.near.get();
    char buffer[64];

    std::string received() {
        const IoResult got = recv_some(pair.far.get(), buffer);
        return {buffer, got.bytes};
    }
};

TEST(SendSome, HandsOverTheData) {
    LONGS_EQUAL(5, send_some(fd, "hello").bytes);
    CHECK_EQUAL("hello", received());
    LONGS_EQUAL(1, faults.calls("send"));
}

TEST(SendSome, NothingIsSentSuccessfully) {
    const IoResult sent = send_some(fd, "");
    CHECK(sent);
    LONGS_EQUAL(0, sent.bytes);
}

TEST(SendSome, ReportsAShortWrite) {
    faults.limit("send", 2);
    LONGS_EQUAL(2, send_some(fd, "hello").bytes);
    CHECK_EQUAL("he", received());
}

TEST(SendSome, SaysWouldBlockWhenThePeerDoesNotRead) {
    CHECK(fill(fd) > 0);
    const IoResult sent = send_some(fd, "x");
    CHECK(sent.would_block());
    LONGS_EQUAL(0, sent.bytes);
}

TEST(SendSome, NeverWaitsOnABlockingDescriptor) {
    CHECK(!set_nonblocking(fd, false));
    CHECK(fill(fd) > 0);
    CHECK(send_some(fd, "x").would_block());
}

TEST(SendSome, NeverLetsEintrOut) {
    faults.fail("send", EINTR, 3);
    LONGS_EQUAL(5, send_some(fd, "hello").bytes);
    LONGS_EQUAL(4, faults.calls("send"));
}

TEST(SendSome, ToAGonePeerIsAnErrorAndNoSignal) {
    pair.far.reset();
    CHECK_EQUAL(errno_code(EPIPE), send_some(fd, "hello").error);
    const iovec piece = piece_of("hello");
    CHECK_EQUAL(errno_code(EPIPE), sendv_some(fd, {&piece, 1}).error);
}

TEST(SendSome, SendsPiecesInTheirOrder) {
    const std::array pieces = {piece_of("he"), piece_of(""), piece_of("llo")};
    LONGS_EQUAL(5, sendv_some(fd, pieces).bytes);
    CHECK_EQUAL("hello", received());
    LONGS_EQUAL(1, faults.calls("sendmsg"));
}

TEST(SendSome, PiecesCanBeSentShort) {
    faults.limit("sendmsg", 3);
    const std::array pieces = {piece_of("he"), piece_of("llo")};
    LONGS_EQUAL(3, sendv_some(fd, pieces).bytes);
    CHECK_EQUAL("hel", received());
}

TEST(SendSome, OfVeryManyPiecesSendsTheFirst) {
    const std::vector<iovec> pieces(5000, piece_of("x"));
    LONGS_EQUAL(1024, sendv_some(fd, pieces).bytes);
}

TEST(SendSome, PiecesNeverLetEintrOut) {
    const iovec piece = piece_of("hello");
    faults.fail("sendmsg", EINTR, 2);
    LONGS_EQUAL(5, sendv_some(fd, {&piece, 1}).bytes);
}

TEST(SendSome, PiecesSayWouldBlock) {
    fill(fd);
    const iovec piece = piece_of("x");
    CHECK(sendv_some(fd, {&piece, 1}).would_block());
}

TEST_GROUP_BASE(RecvvSome, Fixture) {
    FaultInjection faults;
    SocketPair pair = unix_pair();
    char one[2];
    char two[8];
    std::array<iovec, 2> buffers = {iovec{one, sizeof one}, iovec{two, sizeof two}};
    int fd = pair.near.get();
};

TEST(RecvvSome, FillsOneBufferAfterTheOther) {
    CHECK(send_some(pair.far.get(), "hello"));
    LONGS_EQUAL(5, recvv_some(fd, buffers).bytes);
    CHECK_EQUAL("he", std::string(one, 2));
    CHECK_EQUAL("llo", std::string(two, 3));
}

TEST(RecvvSome, SaysWouldBlockAndEof) {
    CHECK(recvv_some(fd, buffers).would_block());
    pair.far.reset();
    CHECK(recvv_some(fd, buffers).eof());
}

TEST(RecvvSome, NeverLetsEintrOut) {
    CHECK(send_some(pair.far.get(), "hello"));
    faults.fail("recvmsg", EINTR, 2);
    LONGS_EQUAL(5, recvv_some(fd, buffers).bytes);
}

TEST(RecvvSome, EmptyBuffersAbort) {
    CHECK(send_some(pair.far.get(), "hello"));
    STRCMP_CONTAINS("empty buffers", abort_message([this] { (void)recvv_some(fd, {}); }).c_str());
}

// ---- sendfile_some ----

TEST_GROUP_BASE(SendfileSome, Fixture) {
    FaultInjection faults;
    TempDir folder;
    SocketPair pair = tcp_pair();
    int fd = pair.near.get();
    UniqueFd file;
    off_t offset = 0;

    void setup() override {
        file.reset(::open(folder.file("data").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        LONGS_EQUAL(10, ::write(file.get(), "0123456789", 10));
    }
    std::string received() {
        char buffer[64];
        wait_for(pair.far.get(), POLLIN);
        const IoResult got = recv_some(pair.far.get(), buffer);
        return {buffer, got.bytes};
    }
};

TEST(SendfileSome, SendsAndMovesTheOffset) {
    offset = 2;
    LONGS_EQUAL(5, sendfile_some(fd, file.get(), offset, 5).bytes);
    LONGS_EQUAL(7, offset);
    CHECK_EQUAL("23456", received());
}

TEST(SendfileSome, SendsWhatTheFileHas) {
    LONGS_EQUAL(10, sendfile_some(fd, file.get(), offset, 1000).bytes);
    LONGS_EQUAL(10, offset);
}

TEST(SendfileSome, SaysEofAtTheEndOfTheFile) {
    offset = 10;
    CHECK(sendfile_some(fd, file.get(), offset, 5).eof());
    LONGS_EQUAL(10, offset);
}

TEST(SendfileSome, NothingIsSentSuccessfully) { CHECK(sendfile_some(fd, file.get(), offset, 0)); }

TEST(SendfileSome, ReportsAShortWrite) {
    faults.limit("sendfile", 3);
    LONGS_EQUAL(3, sendfile_some(fd, file.get(), offset, 10).bytes);
    LONGS_EQUAL(3, offset);
}

TEST(SendfileSome, NeverLetsEintrOut) {
    faults.fail("sendfile", EINTR, 2);
    LONGS_EQUAL(10, sendfile_some(fd, file.get(), offset, 10).bytes);
}

TEST(SendfileSome, SaysWouldBlockWhenThePeerDoesNotRead) {
    fill(fd);
    CHECK(sendfile_some(fd, file.get(), offset, 10).would_block());
    LONGS_EQUAL(0, offset);
}

TEST(SendfileSome, APeerThatGoesInTheMiddleRaisesNoSignal) {
    faults.limit("sendfile", 3);
    faults.before("sendfile", [] { ::raise(SIGPIPE); });  // as the kernel does, and still says 3
    LONGS_EQUAL(3, sendfile_some(fd, file.get(), offset, 10).bytes);
    sigset_t pending;
    sigpending(&pending);
    LONGS_EQUAL(0, sigismember(&pending, SIGPIPE));
}

TEST(SendfileSome, ToAGonePeerIsAnErrorAndNoSignal) {
    SocketPair gone = unix_pair();
    gone.far.reset();
    CHECK_EQUAL(errno_code(EPIPE), sendfile_some(gone.near.get(), file.get(), offset, 10).error);
    sigset_t pending;
    sigpending(&pending);
    LONGS_EQUAL(0, sigismember(&pending, SIGPIPE));
}

TEST(SendfileSome, HandsOutTheErrno) {
    CHECK_EQUAL(errno_code(EBADF), sendfile_some(fd, -1, offset, 10).error);
}

// ---- making streams ----

TEST_GROUP_BASE(SocketOps, Fixture) {
    FaultInjection faults;
    UniqueFd listener;
    SockAddr address;
    void listen_on(const SockAddr& where, const ListenOptions& options = {}) {
        listener = listen_stream(where, options).value();
        address = SockAddr::local_of(listener.get()).value();
    }
};

TEST(SocketOps, ASocketIsBornNonblockingAndCloseOnExec) {
    for (const int family : {AF_INET, AF_INET6, AF_UNIX}) {
        const UniqueFd fd = socket_stream(family).value();
        CHECK(is_nonblocking(fd.get()) && is_close_on_exec(fd.get()));
    }
}

TEST(SocketOps, AnUnknownFamilyIsAnError) {
    const auto made = socket_stream(AF_UNSPEC);
    CHECK(!made && made.error() == std::errc::address_family_not_supported);
}

TEST(SocketOps, NoDescriptorsIsAnError) {
    faults.fail("socket", EMFILE);
    CHECK(socket_stream(AF_INET).error() == std::errc::too_many_files_open);
    faults.fail("socketpair", EMFILE);
    CHECK(stream_pair().error() == std::errc::too_many_files_open);
}

TEST(SocketOps, APairIsConnectedNonblockingAndCloseOnExec) {
    const SocketPair pair = unix_pair();
    for (const int fd : {pair.near.get(), pair.far.get()}) CHECK(is_nonblocking(fd) && is_close_on_exec(fd));
    CHECK(send_some(pair.near.get(), "x"));
    char buffer[4];
    LONGS_EQUAL(1, recv_some(pair.far.get(), buffer).bytes);
}

TEST(SocketOps, ConnectsOverTcp) {
    listen_on(SockAddr::loopback(0));
    const UniqueFd fd = socket_stream(AF_INET).value();
    const std::error_code begun = connect_start(fd.get(), address);
    CHECK(!begun || begun == NetError::in_progress);
    CHECK(wait_for(fd.get(), POLLOUT));
    CHECK(!connect_result(fd.get()));
}

TEST(SocketOps, ConnectsOverUnixAtOnce) {
    listen_on(abstract_address("connect"));
    const UniqueFd fd = socket_stream(AF_UNIX).value();
    CHECK(!connect_start(fd.get(), address));
    CHECK(!connect_result(fd.get()));
}

TEST(SocketOps, ARefusedConnectSaysSo) {
    listen_on(SockAddr::loopback(0));
    listener.reset();
    const UniqueFd fd = socket_stream(AF_INET).value();
    std::error_code error = connect_start(fd.get(), address);
    if (error == NetError::in_progress) {
        CHECK(wait_for(fd.get(), POLLOUT));
        error = connect_result(fd.get());
    }
    CHECK(error == std::errc::connection_refused);
}

TEST(SocketOps, AnInterruptedConnectIsInProgress) {
    faults.fail("connect", EINTR);
    const UniqueFd fd = socket_stream(AF_INET).value();
    CHECK_EQUAL(NetError::in_progress, connect_start(fd.get(), SockAddr::loopback(1)));
}

TEST(SocketOps, ASecondConnectIsInProgress) {
    faults.fail("connect", EALREADY);
    const UniqueFd fd = socket_stream(AF_INET).value();
    CHECK_EQUAL(NetError::in_progress, connect_start(fd.get(), SockAddr::loopback(1)));
}

TEST(SocketOps, ConnectingToAFullUnixQueueWouldBlock) {
    listen_on(abstract_address("full"), {.backlog = 0});
    std::vector<UniqueFd> waiting;
    std::error_code error;
    while (!error && waiting.size() < 10) {
        waiting.push_back(socket_stream(AF_UNIX).value());
        error = connect_start(waiting.back().get(), address);
    }
    CHECK_EQUAL(NetError::would_block, error);
}

TEST(SocketOps, AConnectThatHasNotEndedIsInProgress) {
    const UniqueFd fd = socket_stream(AF_INET).value();
    CHECK_EQUAL(NetError::in_progress, connect_result(fd.get()));
}

TEST(SocketOps, ConnectResultHandsOutTheErrno) {
    CHECK_EQUAL(errno_code(EBADF), connect_result(-1));
    const SocketPair pair = tcp_pair();
    faults.fail("getpeername", ENOBUFS);
    CHECK_EQUAL(errno_code(ENOBUFS), connect_result(pair.near.get()));
}

// ---- accepting ----

TEST(SocketOps, AcceptsAConnectionAndSaysWhoseItIs) {
    listen_on(SockAddr::loopback(0));
    const UniqueFd client = socket_stream(AF_INET).value();
    (void)connect_start(client.get(), address);
    CHECK(wait_for(listener.get(), POLLIN));
    SockAddr peer;
    const Accepted connection = accept_one(listener.get(), &peer);
    CHECK(bool(connection));
    CHECK(is_nonblocking(connection.fd.get()) && is_close_on_exec(connection.fd.get()));
    CHECK_EQUAL(SockAddr::local_of(client.get()).value(), peer);
    CHECK(connection.outcome() == AcceptOutcome::accepted);
}

TEST(SocketOps, AcceptsWithoutAskingWhoseItIs) {
    listen_on(abstract_address("accept"));
    const UniqueFd client = socket_stream(AF_UNIX).value();
    CHECK(!connect_start(client.get(), address));
    CHECK(bool(accept_one(listener.get())));
}

TEST(SocketOps, AcceptingFromAnEmptyQueueWouldBlock) {
    listen_on(SockAddr::loopback(0));
    const Accepted nothing = accept_one(listener.get());
    CHECK(!nothing && !nothing.fd);
    CHECK_EQUAL(NetError::would_block, nothing.error);
    CHECK(nothing.outcome() == AcceptOutcome::empty);
}

TEST(SocketOps, AcceptingNeverLetsEintrOut) {
    listen_on(SockAddr::loopback(0));
    faults.fail("accept4", EINTR, 2);
    CHECK_EQUAL(NetError::would_block, accept_one(listener.get()).error);
    LONGS_EQUAL(3, faults.calls("accept4"));
}

TEST(SocketOps, TellsApartWhyThereIsNoConnection) {
    const auto outcome_of = [](int number) { return accept_outcome(errno_code(number)); };
    for (const int number : {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT})
        CHECK(outcome_of(number) == AcceptOutcome::lost);
    for (const int number : {EMFILE, ENFILE, ENOBUFS, ENOMEM})
        CHECK(outcome_of(number) == AcceptOutcome::exhausted);
    for (const int number : {EBADF, EINVAL, ENOTSOCK, EFAULT, EOPNOTSUPP})
        CHECK(outcome_of(number) == AcceptOutcome::broken);
    CHECK(outcome_of(EAGAIN) == AcceptOutcome::empty);
    CHECK(outcome_of(0) == AcceptOutcome::accepted);
}

TEST(SocketOps, AcceptHandsOutTheErrno) {
    faults.fail("accept4", EMFILE);
    CHECK_EQUAL(errno_code(EMFILE), accept_one(0).error);
    CHECK_EQUAL(errno_code(EBADF), accept_one(-1).error);
}

// ---- ending streams ----

TEST(SocketOps, ShutdownSendEndsOneHalf) {
    const SocketPair pair = unix_pair();
    char buffer[8];
    CHECK(!shutdown_send(pair.near.get()));
    CHECK(recv_some(pair.far.get(), buffer).eof());
    CHECK(send_some(pair.far.get(), "still"));
    LONGS_EQUAL(5, recv_some(pair.near.get(), buffer).bytes);
    CHECK_EQUAL(errno_code(EPIPE), send_some(pair.near.get(), "x").error);
}

TEST(SocketOps, ShutdownBothEndsBothHalves) {
    const SocketPair pair = unix_pair();
    char buffer[8];
    CHECK(!shutdown_both(pair.near.get()));
    CHECK(recv_some(pair.near.get(), buffer).eof());
    CHECK(recv_some(pair.far.get(), buffer).eof());
    CHECK_EQUAL(errno_code(EPIPE), send_some(pair.far.get(), "x").error);
}

TEST(SocketOps, ShutdownOfAnUnconnectedSocketIsAnError) {
    const UniqueFd fd = socket_stream(AF_INET).value();
    CHECK_EQUAL(errno_code(ENOTCONN), shutdown_send(fd.get()));
    CHECK_EQUAL(errno_code(ENOTCONN), shutdown_both(fd.get()));
}

TEST(SocketOps, ReadsAtAnyPlaceOfAFile) {
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    char magic[3];
    LONGS_EQUAL(3, read_at(file.get(), magic, 1).bytes);
    CHECK_EQUAL("ELF", std::string(magic, 3));
    CHECK(read_at(file.get(), magic, off_t{1} << 40).eof());
    CHECK_EQUAL(errno_code(EBADF), read_at(-1, magic, 0).error);
    STRCMP_CONTAINS("empty buffer", abort_message([&] { (void)read_at(file.get(), {}, 0); }).c_str());
}

TEST_GROUP_BASE(UnsentBytes, Fixture){};

TEST(UnsentBytes, BecomeFewerWhenThePeerTakesThem) {
    const SocketPair pair = unix_pair();
    LONGS_EQUAL(0, unsent_bytes(pair.near.get()));
    CHECK(send_some(pair.near.get(), "twelve bytes").bytes == 12);
    CHECK(unsent_bytes(pair.near.get()) >= 12);
    char buffer[64];
    CHECK(recv_some(pair.far.get(), buffer).bytes == 12);
    LONGS_EQUAL(0, unsent_bytes(pair.near.get()));
}

TEST(UnsentBytes, OfWhatIsNoSocketAreUnknown) { LONGS_EQUAL(0, unsent_bytes(-1)); }
