// Loops, groups and servers, started and stopped again and again in one process: no memory, descriptor, OS
// thread or mapping is left behind. EVC_ROUNDS=1000 for the full proof.
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>

#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/offload.h"
#include "nutils/blocking_socket.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

namespace {

std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) ++count;
    return count;
}

void echo(EvSocket socket) {
    char buffer[64];
    while (const IoResult got = socket.recv(buffer, 30s))
        if (!socket.send_all({buffer, got.bytes}, 30s)) break;
}

// A loop with a server, a client, children that talk over a channel, and one that is still waiting at the
// end.
void one_loop(int round) {
    StackPool pool({.count = 8, .pages = 4});
    EvLoop loop(pool, any_order());
    std::string heard;
    auto acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), echo).value();
    loop.spawn("client", [&] {
        auto socket = EvSocket::connect(loop, acceptor.local_address(), 30s).value();
        if (socket.send_all("hello", 30s)) heard = received(socket, 30s);
        Channel<std::string> words;
        Bundle children(loop);
        children.go("sender", [&] { (void)words.send(heard + "!", 30s); });
        children.go("waits for ever", [] { (void)this_evthread::delay(Deadline::never); });
        heard = words.recv(30s).value();
        acceptor.close();
        if (round % 2 == 0)
            children.cancel();
        else
            loop.stop();
    });
    loop.run();
    (void)loop.shutdown(30s);
    CHECK_EQUAL("hello!", heard);
}

// A group with a server and its pool for blocking work.
void one_group(int round) {
    LoopGroup group({.loops = 2,
                     .stacks = {.count = 4, .pages = 4},
                     .shuffle_seed = any_order().shuffle_seed,
                     .offload = {.threads = 1}});
    group.start().value();
    GroupListener listener = group.listen(SockAddr::loopback(0), echo).value();
    auto client = nutils::BlockingSocket::connect(listener.local_address(), 30s).value();
    char buffer[8];
    CHECK(client.send_all("hello", 30s));
    CHECK_EQUAL(5, client.recv(buffer, 30s).bytes);
    group.post(0, [&group] {
        group.loop(0).spawn([&group] {
            (void)offload(
                group.offload_pool(), [] { return 1; }, 30s);
        });
    });
    if (round % 2 == 0) {
        group.stop();
    } else {
        client.close();
        CHECK(group.shutdown(30s));
    }
}

}  // namespace

TEST_GROUP_BASE(ThousandStarts, Fixture){};

TEST(ThousandStarts, OfLoopsGroupsAndServersLeaveNothing) {
    const int rounds = static_cast<int>(number_in_environment("EVC_ROUNDS").value_or(kTsan ? 50 : 200));
    std::size_t before = 0;
    for (int round = 0; round < rounds; ++round) {
        if (round == 20) before = mappings();  // what the C library keeps, it has by now
        one_loop(round);
        one_group(round);
    }
    if (!kSanitized && rounds > 40) CHECK(mappings() < before + 20);
}
