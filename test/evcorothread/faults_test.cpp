// A server and a client in one loop, again and again, with every system call, every allocation and every
// stack failing in turn: each run ends, in success or by an error; nothing is left behind, and the next one
// works.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/wait_fd.h"
#include "nutils/iovecs.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"

using namespace test_support;

namespace {

// Gives back what it receives, parked between two pieces.
class EchoGuest final : public EvParking::Guest {
    EvParking::Next serve() override {
        char buffer[64];
        const IoResult got = socket().recv(buffer, 3s);
        if (!got || !socket().send_all({buffer, got.bytes}, 3s)) return EvParking::Next::close();
        return EvParking::Next::park(30s);
    }

  public:
    using Guest::Guest;
};

}  // namespace

TEST_GROUP_BASE(Faults, Fixture) {
    LogCapture log;  // what is logged is expected, and not for the terminal
    TempDir folder;
    UniqueFd file{::open(folder.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    int succeeded = 0;

    void setup() override {
        ::alarm(120);
        CHECK_EQUAL(4, ::write(file.get(), "file", 4));
    }
    void teardown() override { ::alarm(0); }

    // What a client wants of the server; true when it got all of it.
    bool converse(EvLoop & loop, const SockAddr& where) {
        cutils::Result<EvSocket> connected = EvSocket::connect(loop, where, 3s);
        if (!connected) return false;
        EvSocket& socket = *connected;
        char buffer[8];
        if (!socket.send_all("ping", 3s) || !socket.recv_exact({buffer, 4}, 3s)) return false;
        iovec pieces[] = {nutils::piece_of("pi"), nutils::piece_of("ng")};
        if (!socket.send_all_v(pieces, 3s) || !socket.recv_exact({buffer, 4}, 3s)) return false;
        if (!socket.sendfile_all(file.get(), 0, 4, 3s) || !socket.recv_exact({buffer, 4}, 3s)) return false;
        if (this_evthread::delay(1s) || !socket.shutdown_send()) return false;
        return socket.recv(buffer, 3s).eof();
    }

    // Two servers, one with a coroutine for each connection, one that parks them; a client of each.
    void attempt(std::size_t stack_count) {
        StackPool stacks({.count = stack_count});
        EvLoop loop(stacks, any_order({.clock = LoopClock::virtual_time}));
        EvParking parking(loop, "a name that is not a short string");
        auto simple = EvTcpAcceptor::listen(loop, SockAddr::unix_path(folder.file("simple")).value(),
                                            [](EvSocket socket) {
                                                char buffer[64];
                                                while (const IoResult got = socket.recv(buffer, 3s))
                                                    if (!socket.send_all({buffer, got.bytes}, 3s)) break;
                                            });
        auto parked = EvTcpAcceptor::listen_raw(
            loop, SockAddr::unix_path(folder.file("parked")).value(), [&](UniqueFd fd, const SockAddr&) {
                (void)parking.adopt(std::make_unique<EchoGuest>(EvSocket(loop, std::move(fd))), 30s);
            });
        EvTimer end(loop, [&] {
            if (simple) simple->close();
            if (parked) parked->close();
        });
        end.start(1min);
        int good = 0;
        for (auto* const acceptor : {&simple, &parked})
            if (*acceptor)
                loop.spawn("a client whose name is long, too",
                           [&, where = (*acceptor)->local_address()] { good += converse(loop, where); });
        loop.run();
        succeeded += good == 2;
    }
};

TEST(Faults, WithoutAnyItSucceeds) {
    attempt(8);
    CHECK_EQUAL(1, succeeded);
    CHECK_EQUAL("", log.text());
}

TEST(Faults, OfEverySystemCall) {
    for (const int number : {EIO, ENOMEM, EMFILE, ECONNRESET, EAGAIN, EINTR}) {
        const long failures = for_each_failing_call(number, [this] {
            try {
                attempt(8);
            } catch (const std::system_error&) {  // of the constructors
            }
        });
        CHECK(failures > 20);
        const int before = succeeded;
        attempt(8);
        CHECK_EQUAL(before + 1, succeeded);
    }
}

TEST(Faults, OfEveryAllocation) {
    const std::size_t failures = for_each_failing_allocation([this] { attempt(8); });
    CHECK(failures > 20);
    const int before = succeeded;
    attempt(8);
    CHECK_EQUAL(before + 1, succeeded);
}

TEST(Faults, OfTooFewStacks) {
    for (std::size_t count = 1; count <= 4; ++count) attempt(count);
    CHECK(succeeded > 0);
}

TEST(Faults, ALoopThatEpollDoesNotTakeSaysWhatToLookAt) {
    FaultInjection faults;
    StackPool stacks({.count = 1});
    for (const int good : {0, 1}) {  // its timer, its wake-up
        std::string what;
        faults.fail("event_add", ENOSPC, 1, good);
        try {
            const EvLoop loop(stacks);
        } catch (const std::system_error& error) {
            CHECK_EQUAL(ENOSPC, error.code().value());
            what = error.what();
        }
        STRCMP_CONTAINS("fs.epoll.max_user_watches", what.c_str());
    }
}
