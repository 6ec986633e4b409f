// The C face: sockets.
#include <netinet/tcp.h>

#include <chrono>
#include <string>
#include <vector>

#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/support/temp_dir.h"

using namespace c_face_test;

TEST_GROUP_BASE(CFaceSocket, CFace) {
    Pair pair;
    char buffer[256] = {};

    // A size that a negative int becomes.
    static constexpr std::size_t kNegative = static_cast<std::size_t>(-1);

    static std::string text(const char* from, int size) {
        return size < 0 ? strerror(errno) : std::string(from, static_cast<std::size_t>(size));
    }
    // How many bytes a unix socket takes before it waits for its reader.
    static std::vector<char> more_than_fits() { return std::vector<char>(4 << 20, 'x'); }
};

TEST(CFaceSocket, IsHandedToTheProcedure) {
    int fd = -2;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) { fd = EVSOCKET_fd(socket); });
    run_loop();
    CHECK_EQUAL(pair.near, fd);
}

TEST(CFaceSocket, ReceivesWhatIsThere) {
    std::string got;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        got = text(buffer, EVSOCKET_recv(socket, buffer, sizeof buffer, 0, no_time()));
    });
    pair.write("hello");
    run_loop();
    CHECK_EQUAL("hello", got);
}

TEST(CFaceSocket, WaitsForWhatComes) {
    std::string got;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        got = text(buffer, EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never()));
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        pair.write("later");
    });
    run_loop();
    CHECK_EQUAL("later", got);
}

TEST(CFaceSocket, ReceivesNothingAtTheEnd) {
    Outcome first, second;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        first = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon());
        second = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon());
    });
    pair.close_far();
    run_loop();
    CHECK_OUTCOME(0, 0, first);
    CHECK_OUTCOME(0, 0, second);
}

TEST(CFaceSocket, TimesOutAndIsStillUsable) {
    Outcome early, late;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        early = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_ms(2));
        pair.write("now");
        late = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, early);
    CHECK_OUTCOME(3, 0, late);
}

TEST(CFaceSocket, MicrosecondsBeyondAllTimeAreForEverOrOver) {
    Outcome got, late;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        late = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, {0, LONG_MIN});
        got = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, {8'999'999'999, LONG_MAX});
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        pair.write("later");
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, late);
    CHECK_OUTCOME(5, 0, got);
}

TEST(CFaceSocket, IsCanceledWithItsThread) {
    Outcome waiting, afterwards, sending;
    EVTHREAD* const reader = start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        waiting = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        pair.write("too late");
        afterwards = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        sending = EVSOCKET_send(socket, "x", 1, 0, EVTIMEOUT_never());
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVTHREAD_cancel(reader); });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, waiting);
    CHECK_OUTCOME(-1, ECANCELED, afterwards);
    CHECK_OUTCOME(-1, ECANCELED, sending);
}

TEST(CFaceSocket, ReceivesAll) {
    std::string got;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        got = text(buffer, EVSOCKET_recv_all(socket, buffer, 6, 0, soon()));
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        for (const char* piece : {"ab", "cd", "efgh"}) {
            pair.write(piece);
            EVTHREAD_yield(self);
        }
    });
    run_loop();
    CHECK_EQUAL("abcdef", got);
}

TEST(CFaceSocket, ReceivesLessWhenTheStreamEndsBefore) {
    Outcome got, at_the_end;
    std::size_t received = 99;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        got = EVSOCKET_recv_all_ex(socket, buffer, 6, 0, soon(), &received);
        at_the_end = EVSOCKET_recv_all(socket, buffer, 6, 0, soon());
    });
    pair.write("abc");
    pair.close_far();
    run_loop();
    CHECK_OUTCOME(3, 0, got);
    CHECK_EQUAL(3, received);
    CHECK_OUTCOME(0, 0, at_the_end);
}

TEST(CFaceSocket, TellsHowMuchCameBeforeATimeout) {
    Outcome got;
    std::size_t received = 99;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        got = EVSOCKET_recv_all_ex(socket, buffer, 6, 0, EVTIMEOUT_ms(2), &received);
    });
    pair.write("abc");
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, got);
    CHECK_EQUAL(3, received);
    CHECK_EQUAL("abc", std::string(buffer, 3));
}

TEST(CFaceSocket, ReceivesNothingAtOnce) {
    Outcome got;
    start_with(pair.near,
               [&](EVTHREAD*, EVSOCKET* socket) { got = EVSOCKET_recv_all(socket, nullptr, 0, 0, soon()); });
    run_loop();
    CHECK_OUTCOME(0, 0, got);
}

TEST(CFaceSocket, SendsAll) {
    Outcome sent, nothing;
    std::size_t count = 99;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        nothing = EVSOCKET_send(socket, nullptr, 0, 0, soon());
        sent = EVSOCKET_send_ex(socket, "answer", 6, MSG_MORE, soon(), &count);
    });
    run_loop();
    CHECK_OUTCOME(0, 0, nothing);
    CHECK_OUTCOME(6, 0, sent);
    CHECK_EQUAL(6, count);
    CHECK_EQUAL("answer", pair.read());
}

TEST(CFaceSocket, SendsMoreThanTheKernelTakesAtOnce) {
    const std::vector<char> much = more_than_fits();
    Outcome sent, got;
    std::vector<char> arrived(much.size());
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        sent = EVSOCKET_send(socket, much.data(), much.size(), 0, soon());
    });
    const int far = std::exchange(pair.far, -1);
    start_with(far, [&](EVTHREAD*, EVSOCKET* socket) {
        got = EVSOCKET_recv_all(socket, arrived.data(), arrived.size(), 0, soon());
    });
    run_loop();
    CHECK_OUTCOME(static_cast<int>(much.size()), 0, sent);
    CHECK_OUTCOME(static_cast<int>(much.size()), 0, got);
    CHECK(much == arrived);
}

TEST(CFaceSocket, TellsHowMuchWentBeforeATimeout) {
    const std::vector<char> much = more_than_fits();
    Outcome sent;
    std::size_t count = 0;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        sent = EVSOCKET_send_ex(socket, much.data(), much.size(), 0, EVTIMEOUT_ms(2), &count);
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, sent);
    CHECK(count > 0 && count < much.size());
}

TEST(CFaceSocket, ReportsAPeerThatIsGoneWithoutASignal) {
    Outcome sent;
    start_with(pair.near,
               [&](EVTHREAD*, EVSOCKET* socket) { sent = EVSOCKET_send(socket, "x", 1, 0, soon()); });
    pair.close_far();
    run_loop();
    CHECK_OUTCOME(-1, EPIPE, sent);
}

TEST(CFaceSocket, ServesAReaderAndAWriterAtOnce) {
    const std::vector<char> much = more_than_fits();
    Outcome sent, got;
    std::string seen;
    EVSOCKET* shared = nullptr;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        shared = socket;
        sent = EVSOCKET_send(socket, much.data(), much.size(), 0, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        seen = text(buffer, EVSOCKET_recv(shared, buffer, sizeof buffer, 0, soon()));
    });
    const int far = std::exchange(pair.far, -1);
    start_with(far, [&](EVTHREAD*, EVSOCKET* socket) {
        EVSOCKET_send(socket, "meanwhile", 9, 0, soon());
        std::vector<char> arrived(much.size());
        got = EVSOCKET_recv_all(socket, arrived.data(), arrived.size(), 0, soon());
    });
    run_loop();
    CHECK_OUTCOME(static_cast<int>(much.size()), 0, sent);
    CHECK_OUTCOME(static_cast<int>(much.size()), 0, got);
    CHECK_EQUAL("meanwhile", seen);
}

TEST(CFaceSocket, IsBusyForASecondReader) {
    Outcome first, second;
    EVSOCKET* shared = nullptr;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        shared = socket;
        first = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        char other[8];
        second = EVSOCKET_recv(shared, other, sizeof other, 0, soon());
        pair.write("go");
    });
    run_loop();
    CHECK_OUTCOME(2, 0, first);
    CHECK_OUTCOME(-1, EBUSY, second);
}

TEST(CFaceSocket, WakesItsWaiterWhenClosed) {
    Outcome waiting, afterwards, sent, fd, closed_again;
    EVSOCKET* shared = nullptr;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        shared = socket;
        waiting = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        afterwards = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        sent = EVSOCKET_send(socket, "x", 1, 0, EVTIMEOUT_never());
        fd = EVSOCKET_fd(socket);
        closed_again = EVSOCKET_close(socket);
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVSOCKET_close(shared); });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, waiting);
    CHECK_OUTCOME(-1, EBADF, afterwards);
    CHECK_OUTCOME(-1, EBADF, sent);
    CHECK_OUTCOME(-1, EBADF, fd);
    CHECK_OUTCOME(0, 0, closed_again);
}

TEST(CFaceSocket, ClosesWhenItsOwnerReturns) {
    start_with(pair.near, [](EVTHREAD*, EVSOCKET*) {});
    run_loop();
    CHECK_EQUAL("", pair.read());  // the end of the stream
}

TEST(CFaceSocket, WakesOthersWhenItsOwnerReturns) {
    Outcome waiting;
    EVSOCKET* shared = nullptr;
    start_with(pair.near, [&](EVTHREAD* self, EVSOCKET* socket) {
        shared = socket;
        EVTHREAD_yield(self);
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        waiting = EVSOCKET_recv(shared, buffer, sizeof buffer, 0, EVTIMEOUT_never());
    });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, waiting);
}

TEST(CFaceSocket, IsOneOfManyThatAllCloseWithTheirOwner) {
    Pair others[3];
    start([&](EVTHREAD* self, EVSOCKET*) {
        for (Pair& other : others) EVSOCKET_init(self, other.near, 1);
        EVSOCKET_init(self, pair.near, 1);
    });
    run_loop();
    for (const Pair& other : others) CHECK_EQUAL("", other.read());
    CHECK_EQUAL("", pair.read());
}

TEST(CFaceSocket, CanBeFreedBeforeItsOwnerReturns) {
    bool closed = false;
    Outcome freed;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        freed = EVSOCKET_free(socket);
        closed = pair.read().empty();
    });
    run_loop();
    CHECK_OUTCOME(0, 0, freed);
    CHECK(closed);
}

TEST(CFaceSocket, CanBeFreedUnderItsReader) {
    Outcome waiting;
    EVSOCKET* shared = nullptr;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        shared = socket;
        waiting = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVSOCKET_free(shared); });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, waiting);
}

TEST(CFaceSocket, OfAThreadNeverStartedClosesWithTheLoop) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK(EVSOCKET_init(thread, pair.near, 1) != nullptr);
    CHECK_EQUAL(0, EVLOOP_free(loop));
    loop = nullptr;
    CHECK_EQUAL("", pair.read());
}

TEST(CFaceSocket, BelongsToTheThreadItIsStartedWith) {
    std::string got;
    bool closed = false;
    start_with(pair.near, [&](EVTHREAD* self, EVSOCKET* socket) {
        EVTHREAD* const heir = make([&](EVTHREAD*, EVSOCKET* inherited) {
            got = text(buffer, EVSOCKET_recv(inherited, buffer, sizeof buffer, 0, soon()));
        });
        EVTHREAD_start(heir, socket);
        (void)self;
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTHREAD_yield(self);
        closed = pair.read().empty();
        pair.write("still there");
    });
    run_loop();
    CHECK_FALSE(closed);
    CHECK_EQUAL("still there", got);
}

TEST(CFaceSocket, OfAnotherLoopIsRefused) {
    EVLOOP* const other_loop = EVLOOP_init(&stacks);
    EVTHREAD* const other = EVTHREAD_init(other_loop, run_body, nullptr);
    EVSOCKET* const foreign = EVSOCKET_init(other, pair.near, 1);
    Outcome received;
    EVTHREAD* const thread = make([&](EVTHREAD*, EVSOCKET*) {
        received = EVSOCKET_recv(foreign, buffer, sizeof buffer, 0, no_time());
    });
    CHECK_FAILS(EINVAL, EVTHREAD_start(thread, foreign));
    CHECK_EQUAL(0, EVTHREAD_start(thread, nullptr));
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, received);
    CHECK_EQUAL(0, EVLOOP_free(other_loop));
}

TEST(CFaceSocket, EndsItsHalf) {
    std::string got;
    Outcome ended;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        EVSOCKET_send(socket, "bye", 3, 0, soon());
        ended = EVSOCKET_shutdown_send(socket);
        got = text(buffer, EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon()));
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        if (pair.read() == "bye" && pair.read().empty()) pair.write("seen");
    });
    run_loop();
    CHECK_OUTCOME(0, 0, ended);
    CHECK_EQUAL("seen", got);
}

TEST(CFaceSocket, TimesOutWhenIdle) {
    Outcome idle, off, refused, limited;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        EVSOCKET_set_idle_timeout(socket, EVTIMEOUT_ms(2));
        idle = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        refused = EVSOCKET_set_idle_timeout(socket, no_time());
        off = EVSOCKET_set_idle_timeout(socket, EVTIMEOUT_never());
        limited = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_ms(2));
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, idle);
    CHECK_OUTCOME(-1, EINVAL, refused);
    CHECK_OUTCOME(0, 0, off);
    CHECK_OUTCOME(-1, ETIMEDOUT, limited);
}

TEST(CFaceSocket, RefusesNonsense) {
    const std::size_t unset = 99;
    std::size_t count = unset;
    Outcome calls[14];
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) {
        calls[0] = EVSOCKET_recv(nullptr, buffer, 1, 0, soon());
        calls[1] = EVSOCKET_recv(socket, nullptr, 1, 0, soon());
        calls[2] = EVSOCKET_recv(socket, buffer, 0, 0, soon());
        calls[3] = EVSOCKET_recv(socket, buffer, kNegative, 0, soon());
        calls[4] = EVSOCKET_recv(socket, buffer, 1, MSG_PEEK, soon());
        calls[5] = EVSOCKET_recv_all(nullptr, buffer, 1, 0, soon());
        calls[6] = EVSOCKET_recv_all_ex(socket, nullptr, 1, 0, soon(), &count);
        calls[7] = EVSOCKET_recv_all(socket, buffer, kNegative, 0, soon());
        calls[8] = EVSOCKET_recv_all(socket, buffer, 1, MSG_OOB, soon());
        calls[9] = EVSOCKET_send(nullptr, "x", 1, 0, soon());
        calls[10] = EVSOCKET_send(socket, nullptr, 1, 0, soon());
        calls[11] = EVSOCKET_send(socket, "x", kNegative, 0, soon());
        calls[12] = EVSOCKET_connect(nullptr, nullptr, 0, soon());
        calls[13] = EVSOCKET_connect(socket, nullptr, 0, soon());
    });
    run_loop();
    for (const Outcome& call : calls) CHECK_OUTCOME(-1, EINVAL, call);
    CHECK_EQUAL(0, count);
    CHECK_FAILS(EINVAL, EVSOCKET_close(nullptr));
    CHECK_FAILS(EINVAL, EVSOCKET_free(nullptr));
    CHECK_FAILS(EINVAL, EVSOCKET_fd(nullptr));
    CHECK_FAILS(EINVAL, EVSOCKET_shutdown_send(nullptr));
    CHECK_FAILS(EINVAL, EVSOCKET_set_idle_timeout(nullptr, soon()));
}

TEST(CFaceSocket, DoesNotWaitOutsideACoroutineThread) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    EVSOCKET* const socket = EVSOCKET_init(thread, pair.near, 1);
    pair.write("there");
    CHECK_FAILS(EINVAL, EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon()));
    CHECK_FAILS(EINVAL, EVSOCKET_recv_all(socket, buffer, 1, 0, soon()));
    CHECK_FAILS(EINVAL, EVSOCKET_send(socket, "x", 1, 0, soon()));
}

TEST(CFaceSocket, LeavesADescriptorItDoesNotTakeToItsOwner) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK_FAILS_NULL(EBADF, EVSOCKET_init(thread, 1000000, 1));
    CHECK_FAILS_NULL(EINVAL, EVSOCKET_init(nullptr, pair.near, 1));
    CHECK_FAILS_NULL(EINVAL, EVSOCKET_init(thread, -1, 1));
    CHECK_FAILS_NULL(EINVAL, EVSOCKET_init(thread, -2, 0));
    CHECK_EQUAL(0, ::close(pair.near));
}

TEST_GROUP_BASE(CFaceConnect, CFace) {
    nutils::UniqueFd listener = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
    SOCKADDR address = address_of(listener.get());

    static SOCKADDR address_of(int fd) {
        SOCKADDR result;
        SOCKADDR_parse(&result, nutils::SockAddr::local_of(fd).value().to_string().c_str());
        return result;
    }
    int connect(EVSOCKET * socket, timeval timeout) {
        return EVSOCKET_connect(socket, SOCKADDR_saddr(&address), SOCKADDR_length(&address), timeout);
    }
    static int tcp_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }
};

TEST(CFaceConnect, MakesASocketAndConnectsIt) {
    Outcome before, connected, sent, again;
    int no_delay = 0;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVSOCKET* const socket = EVSOCKET_init(self, -1, 0);
        before = EVSOCKET_fd(socket);
        connected = connect(socket, soon());
        sent = EVSOCKET_send(socket, "hello", 5, 0, soon());
        socklen_t size = sizeof no_delay;
        ::getsockopt(EVSOCKET_fd(socket), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
        again = connect(socket, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, before);
    CHECK_OUTCOME(0, 0, connected);
    CHECK_OUTCOME(5, 0, sent);
    CHECK_EQUAL(1, no_delay);
    CHECK_OUTCOME(-1, EISCONN, again);
}

TEST(CFaceConnect, IsNotForASocketThatIsConnectedAlready) {
    Pair pair;
    Outcome again;
    start_with(pair.near, [&](EVTHREAD*, EVSOCKET* socket) { again = connect(socket, soon()); });
    run_loop();
    CHECK_OUTCOME(-1, EISCONN, again);
}

TEST(CFaceConnect, ConnectsASocketOfTheCallers) {
    Outcome early, connected, sent;
    const auto client = [&](EVTHREAD*, EVSOCKET* socket) {
        early = EVSOCKET_send(socket, "x", 1, 0, no_time());
        connected = connect(socket, soon());
        sent = EVSOCKET_send(socket, "hello", 5, 0, soon());
    };
    start_with(tcp_socket(), client, 0);
    run_loop();
    CHECK_EQUAL(-1, early.result);
    CHECK_OUTCOME(0, 0, connected);
    CHECK_OUTCOME(5, 0, sent);
}

TEST(CFaceConnect, IsNotMadeAgainOnceClosed) {
    Outcome unmade, closed;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVSOCKET* const never = EVSOCKET_init(self, -1, 0);
        EVSOCKET_close(never);
        unmade = connect(never, soon());
        EVSOCKET* const socket = EVSOCKET_init(self, -1, 0);
        (void)connect(socket, soon());
        EVSOCKET_close(socket);
        closed = connect(socket, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, unmade);
    CHECK_OUTCOME(-1, EBADF, closed);
}

TEST(CFaceConnect, SaysWhenNobodyListens) {
    Outcome made, own;
    listener.reset();
    start([&](EVTHREAD* self, EVSOCKET*) { made = connect(EVSOCKET_init(self, -1, 0), soon()); });
    start_with(
        tcp_socket(), [&](EVTHREAD*, EVSOCKET* socket) { own = connect(socket, soon()); }, 0);
    run_loop();
    CHECK_OUTCOME(-1, ECONNREFUSED, made);
    CHECK_OUTCOME(-1, ECONNREFUSED, own);
}

TEST(CFaceConnect, RefusesAddressesThatAreNone) {
    Outcome short_one, other_family, canceled;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVSOCKET* const socket = EVSOCKET_init(self, -1, 0);
        short_one = EVSOCKET_connect(socket, SOCKADDR_saddr(&address), 3, soon());
        sockaddr none{};
        none.sa_family = AF_UNSPEC;
        other_family = EVSOCKET_connect(socket, &none, sizeof none, soon());
        EVTHREAD_cancel(self);
        canceled = connect(socket, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, short_one);
    CHECK_OUTCOME(-1, EINVAL, other_family);
    CHECK_OUTCOME(-1, ECANCELED, canceled);
}

TEST(CFaceConnect, IsForTheOwnerOnly) {
    Outcome stranger;
    EVSOCKET* shared = nullptr;
    start([&](EVTHREAD* self, EVSOCKET*) {
        shared = EVSOCKET_init(self, -1, 0);
        EVTHREAD_yield(self);
    });
    start([&](EVTHREAD*, EVSOCKET*) { stranger = connect(shared, soon()); });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, stranger);
}

// A unix listener with a full queue has connecting clients wait, for as long as a test likes.
TEST_GROUP_BASE(CFaceConnectWaiting, CFace) {
    test_support::TempDir folder;
    std::string path = "unix:" + folder.file("full");
    nutils::UniqueFd listener =
        nutils::listen_stream(nutils::SockAddr::parse(path).value(), {.backlog = 0}).value();
    nutils::UniqueFd first{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    SOCKADDR address{};

    void setup() override {
        CFace::setup();
        SOCKADDR_parse(&address, path.c_str());
        CHECK_EQUAL(0, ::connect(first.get(), SOCKADDR_saddr(&address), SOCKADDR_length(&address)));
    }
    int connect(EVSOCKET * socket, timeval timeout) {
        return EVSOCKET_connect(socket, SOCKADDR_saddr(&address), SOCKADDR_length(&address), timeout);
    }
};

TEST(CFaceConnectWaiting, TimesOut) {
    Outcome connected;
    start(
        [&](EVTHREAD* self, EVSOCKET*) { connected = connect(EVSOCKET_init(self, -1, 0), EVTIMEOUT_ms(3)); });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, connected);
}

TEST(CFaceConnectWaiting, IsConnectedWhenThereIsRoom) {
    Outcome connected;
    start([&](EVTHREAD* self, EVSOCKET*) { connected = connect(EVSOCKET_init(self, -1, 0), soon()); });
    start([&](EVTHREAD*, EVSOCKET*) { ::close(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)); });
    run_loop();
    CHECK_OUTCOME(0, 0, connected);
}

TEST(CFaceConnectWaiting, IsCanceled) {
    Outcome connected;
    EVTHREAD* const client =
        start([&](EVTHREAD* self, EVSOCKET*) { connected = connect(EVSOCKET_init(self, -1, 0), soon()); });
    start([&](EVTHREAD*, EVSOCKET*) { EVTHREAD_cancel(client); });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, connected);
}

TEST(CFaceConnectWaiting, EndsWhenClosedAndIsNotFreedUnderway) {
    Outcome connected, freed, given_away;
    EVSOCKET* shared = nullptr;
    start([&](EVTHREAD* self, EVSOCKET*) {
        shared = EVSOCKET_init(self, -1, 0);
        connected = connect(shared, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        freed = EVSOCKET_free(shared);
        EVTHREAD* const heir = make([](EVTHREAD*, EVSOCKET*) {});
        given_away = EVTHREAD_start(heir, shared);
        EVSOCKET_close(shared);
    });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, freed);
    CHECK_OUTCOME(-1, EBUSY, given_away);
    CHECK_OUTCOME(-1, EBADF, connected);
}
