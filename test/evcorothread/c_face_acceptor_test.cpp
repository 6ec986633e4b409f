// The C face: acceptors.
#include <arpa/inet.h>
#include <sys/mman.h>

#include <string>

#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/support/temp_dir.h"

using namespace c_face_test;

namespace {

// A blocking client: the kernel connects it, and keeps what it sends, before anybody has accepted.
struct Client {
    explicit Client(int port) : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        const timeval patience{5, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    void write(const std::string& text) const {
        CHECK_EQUAL(text.size(), ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL));
    }
    [[nodiscard]] std::string read(int flags = 0) const {
        char buffer[64];
        const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, flags);
        return got < 0 ? std::string(strerror(errno)) : std::string(buffer, static_cast<std::size_t>(got));
    }
    nutils::UniqueFd fd;
    bool connected = false;
};

const std::string kNothingYet = strerror(EAGAIN);

// What factories and procedures of these tests work on: they have no context of their own.
struct Shared {
    EVTCPACCEPTOR* acceptor = nullptr;
    int asked = 0;
    int served = 0;
    int refuse = 0;
    int recv_size = 0, send_size = 0;
    int last_fd = -1;
    std::string name;
    void* ctx = nullptr;
};
Shared* g_shared = nullptr;

void echo_once(EVTHREAD* thread, EVSOCKET* socket, void* ctx) {
    char buffer[64];
    g_shared->ctx = ctx;
    g_shared->name = EVTHREAD_name(thread);
    const int got = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, soon());
    if (got > 0) EVSOCKET_send(socket, buffer, static_cast<std::size_t>(got), 0, soon());
    socklen_t size = sizeof(int);
    ::getsockopt(EVSOCKET_fd(socket), SOL_SOCKET, SO_RCVBUF, &g_shared->recv_size, &size);
    ::getsockopt(EVSOCKET_fd(socket), SOL_SOCKET, SO_SNDBUF, &g_shared->send_size, &size);
    ++g_shared->served;
    EVLOOP_break(EVTHREAD_loop(thread));
}

int echo_factory(int fd, EVTHREAD_PROC* proc, void** ctx) {
    ++g_shared->asked;
    g_shared->last_fd = fd;
    *proc = echo_once;
    *ctx = g_shared;
    if (g_shared->refuse > 0) {
        --g_shared->refuse;
        return 1;
    }
    return 0;
}

}  // namespace

TEST_GROUP_BASE(CFaceAcceptor, CFace) {
    Shared shared;
    SOCKADDR address{};

    void setup() override {
        g_shared = &shared;
        CFace::setup();
        IPADDRESS loopback;
        IPADDRESS_loopback(&loopback, AF_INET);
        SOCKADDR_init(&address, &loopback, 0);
    }
    EVTCPACCEPTOR* listen(EVTHREAD_FACTORY factory = echo_factory, int recv_size = -1, int send_size = -1) {
        shared.acceptor = EVTCPACCEPTOR_init_ex(loop, &address, 30, factory, recv_size, send_size);
        CHECK(shared.acceptor != nullptr);
        return shared.acceptor;
    }
    int port() const { return EVTCPACCEPTOR_port(shared.acceptor); }
};

TEST(CFaceAcceptor, StartsAThreadForAConnection) {
    listen();
    const Client client(port());
    client.write("hello");
    run_loop();
    CHECK_EQUAL("hello", client.read());
    CHECK_EQUAL("", client.read());  // closed when the procedure returned
    CHECK_EQUAL(1, shared.served);
    POINTERS_EQUAL(&shared, shared.ctx);
    CHECK_EQUAL("connection", shared.name);
}

TEST(CFaceAcceptor, TellsWhereItListens) {
    listen();
    SOCKADDR bound;
    CHECK_EQUAL(0, EVTCPACCEPTOR_address(shared.acceptor, &bound));
    CHECK(port() > 0);
    CHECK_EQUAL(port(), SOCKADDR_port(&bound));
    CHECK_EQUAL(AF_INET, SOCKADDR_saddr(&bound)->sa_family);
}

TEST(CFaceAcceptor, ClosesAtOnceWhatItsFactoryRefuses) {
    listen();
    shared.refuse = 1;
    const Client refused(port());
    const Client accepted(port());
    accepted.write("hello");
    run_loop();
    CHECK_EQUAL("", refused.read());
    CHECK_EQUAL("hello", accepted.read());
    CHECK_EQUAL(2, shared.asked);
    CHECK_EQUAL(1, shared.served);
}

TEST(CFaceAcceptor, ClosesWhatHasNoProcedure) {
    listen([](int, EVTHREAD_PROC*, void**) {
        ++g_shared->asked;
        EVTCPACCEPTOR_close(g_shared->acceptor);  // may be done here, too
        return 0;
    });
    const Client client(port());
    run_loop();
    CHECK_EQUAL("", client.read());
    CHECK_EQUAL(1, shared.asked);
}

TEST(CFaceAcceptor, HandsAContextToItsFactory) {
    struct Context {
        Shared* shared;
        int answer;
    } context{&shared, 42};
    EVTCPACCEPTOR* const acceptor = EVTCPACCEPTOR_init_ctx(
        loop, &address, 30,
        [](void* factory_ctx, int fd, EVTHREAD_PROC* proc, void** ctx) {
            const int refused = echo_factory(fd, proc, ctx);
            *ctx = &static_cast<Context*>(factory_ctx)->answer;
            return refused;
        },
        &context, -1, -1);
    CHECK(acceptor != nullptr);
    const Client client(EVTCPACCEPTOR_port(acceptor));
    client.write("x");
    run_loop();
    POINTERS_EQUAL(&context.answer, shared.ctx);
}

TEST(CFaceAcceptor, SetsTheBufferSizes) {
    listen(echo_factory, 8192, 10000);
    const Client client(port());
    client.write("x");
    run_loop();
    CHECK_EQUAL(2 * 8192, shared.recv_size);  // the kernel doubles them
    CHECK_EQUAL(2 * 10000, shared.send_size);
}

TEST(CFaceAcceptor, HoldsWhatThereIsNoStackFor) {
    listen();
    for (int i = 0; i < 3; ++i)
        start([](EVTHREAD* self, EVSOCKET*) { EVTHREAD_delay(self, EVTIMEOUT_never()); });
    const Client first(port());
    const Client second(port());
    second.write("second");
    start_break_in(5);
    run_loop();
    CHECK_EQUAL(1, shared.asked);
    CHECK_EQUAL(kNothingYet, second.read(MSG_DONTWAIT));
    first.write("first");  // its coroutine ends, and its stack comes back
    run_loop();
    run_loop();
    CHECK_EQUAL("first", first.read());
    CHECK_EQUAL("second", second.read());
}

TEST(CFaceAcceptor, ListensNoMoreWhenClosedWhileItsConnectionsGoOn) {
    listen();
    const int was = port();
    const Client client(was);
    start_break_in(1);
    run_loop();
    CHECK_EQUAL(0, EVTCPACCEPTOR_close(shared.acceptor));
    CHECK_FALSE(Client(was).connected);
    client.write("hello");
    run_loop();
    CHECK_EQUAL("hello", client.read());
    run_loop();  // nothing is left to do
}

TEST(CFaceAcceptor, TakesOverASocketThatListens) {
    nutils::UniqueFd listener = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
    CHECK((shared.acceptor = EVTCPACCEPTOR_init(loop, listener.get(), echo_factory, 8192, -1)) != nullptr);
    (void)listener.release();
    const Client client(port());
    client.write("hello");
    run_loop();
    CHECK_EQUAL("hello", client.read());
    CHECK_EQUAL(2 * 8192, shared.recv_size);
}

TEST(CFaceAcceptor, LeavesASocketItDoesNotTakeToItsOwner) {
    const Pair pair;
    const int pipe_like = ::dup(pair.far);
    const int plain = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init(loop, plain, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init(loop, pipe_like, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init(loop, -1, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EBADF, EVTCPACCEPTOR_init(loop, 1000000, echo_factory, -1, -1));
    const int no_socket = ::memfd_create("c_face", MFD_CLOEXEC);
    CHECK_FAILS_NULL(ENOTSOCK, EVTCPACCEPTOR_init(loop, no_socket, echo_factory, -1, -1));
    for (const int fd : {plain, pipe_like, no_socket, pair.near}) CHECK_EQUAL(0, ::close(fd));
}

TEST(CFaceAcceptor, SaysWhenTheAddressIsTaken) {
    listen();
    SOCKADDR taken;
    EVTCPACCEPTOR_address(shared.acceptor, &taken);
    CHECK_FAILS_NULL(EADDRINUSE, EVTCPACCEPTOR_init_ex(loop, &taken, 30, echo_factory, -1, -1));
}

TEST(CFaceAcceptor, RefusesNonsense) {
    SOCKADDR none{};
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(nullptr, &address, 30, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, nullptr, 30, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, &none, 30, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, &address, -1, echo_factory, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, &address, 30, nullptr, -1, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, &address, 30, echo_factory, -2, -1));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ex(loop, &address, 30, echo_factory, -1, -8192));
    CHECK_FAILS_NULL(EINVAL, EVTCPACCEPTOR_init_ctx(loop, &address, 30, nullptr, nullptr, -1, -1));
    CHECK_FAILS(EINVAL, EVTCPACCEPTOR_port(nullptr));
    CHECK_FAILS(EINVAL, EVTCPACCEPTOR_address(nullptr, &address));
    CHECK_FAILS(EINVAL, EVTCPACCEPTOR_address(listen(), nullptr));
    CHECK_FAILS(EINVAL, EVTCPACCEPTOR_close(nullptr));
}

TEST(CFaceAcceptor, ServesUnixSocketsToo) {
    const test_support::TempDir folder;
    SOCKADDR_parse(&address, ("unix:" + folder.file("echo")).c_str());
    listen();
    CHECK_EQUAL(0, port());
    const nutils::UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK_EQUAL(0, ::connect(client.get(), SOCKADDR_saddr(&address), SOCKADDR_length(&address)));
    CHECK_EQUAL(2, ::send(client.get(), "hi", 2, 0));
    run_loop();
    char buffer[8];
    CHECK_EQUAL(2, ::recv(client.get(), buffer, sizeof buffer, 0));
    CHECK_EQUAL(
        0, EVTCPACCEPTOR_close(shared.acceptor));  // and the socket file is gone, or the folder would stay
}
