// The C face as a whole: from C, and with no memory to be had.
#include <cerrno>
#include <csignal>
#include <string>

#include "nutils/sock_addr.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/support/allocation_faults.h"

using namespace c_face_test;

extern "C" const char* c_face_in_c11(const int sockets[2]);

TEST_GROUP_BASE(CFaceTimeouts, test_support::Fixture){};

TEST(CFaceTimeouts, AreTimevals) {
    const timeval half = EVTIMEOUT_ms(1500);
    CHECK_EQUAL(1, half.tv_sec);
    CHECK_EQUAL(500000, half.tv_usec);
    CHECK_EQUAL(LONG_MAX, EVTIMEOUT_never().tv_sec);
}

TEST_GROUP_BASE(CFaceInC, test_support::Fixture){};

TEST(CFaceInC, ServesAProgramWithoutCxx) {
    const Pair pair;
    const int sockets[2] = {pair.near, pair.far};
    const char* const failed = c_face_in_c11(sockets);
    CHECK_EQUAL("", failed != nullptr ? failed : "");
    const_cast<Pair&>(pair).far = -1;  // its coroutine has closed it
}

TEST_GROUP_BASE(CFaceWithoutMemory, CFace) {
    test_support::AllocationFaults faults;

    // `make` returns null while allocations fail, one after the other, and then, with enough of them, a
    // handle.
    template <class Make>
    auto* make_in_spite(Make && make) {
        for (std::size_t n = 1;; ++n) {
            faults.fail_nth(n);
            errno = 0;
            auto* const made = make();
            const int error = errno;
            faults.stop();
            if (made != nullptr) return made;
            CHECK_EQUAL(std::string(strerror(ENOMEM)), std::string(strerror(error)));
        }
    }
};

TEST(CFaceWithoutMemory, SaysSo) {
    EVTHREAD* const thread = make_in_spite([&] { return EVTHREAD_init(loop, run_body, nullptr); });
    Pair pair;
    CHECK(make_in_spite([&] { return EVSOCKET_init(thread, pair.near, 1); }) != nullptr);
    CHECK(make_in_spite([&] {
              return EVTIMER_init_one_shot(
                  thread, 1, soon(), [](EVTIMER*, void*) {}, nullptr);
          }) != nullptr);
    SOCKADDR address;
    SOCKADDR_parse(&address, "127.0.0.1:0");
    CHECK(make_in_spite([&] {
              return EVTCPACCEPTOR_init_ex(
                  loop, &address, 1, [](int, EVTHREAD_PROC*, void**) { return 1; }, -1, -1);
          }) != nullptr);
}

TEST(CFaceWithoutMemory, SaysSoForALoop) {
    EVLOOP* const other = make_in_spite([&] { return EVLOOP_init(&stacks); });
    CHECK_EQUAL(0, EVLOOP_free(other));
}

TEST(CFaceWithoutMemory, SaysSoForWhatTheLoopOwns) {
    const int number = SIGUSR1;
    CHECK(make_in_spite([&] { return EVBUNDLE_init(loop, soon()); }) != nullptr);
    CHECK(make_in_spite([&] { return EVCHANNEL_init(loop, 8, 8); }) != nullptr);
    CHECK(make_in_spite([&] { return EVSIGNAL_init(loop, &number, 1); }) != nullptr);
    SOCKADDR address;
    SOCKADDR_parse(&address, "127.0.0.1:0");
    CHECK(make_in_spite([&] { return EVUDP_bind(loop, &address, nullptr); }) != nullptr);
    EVUDPBATCH* const batch = make_in_spite([] { return EVUDPBATCH_init(4, 100); });
    CHECK_EQUAL(0, EVUDPBATCH_free(batch));
}

TEST(CFaceWithoutMemory, SaysSoForAPoolOfThreads) {
    EVOFFLOAD* const pool = make_in_spite([&] { return EVOFFLOAD_init(1, 1); });
    CHECK_EQUAL(0, EVOFFLOAD_free(pool));
}

TEST(CFaceWithoutMemory, DropsTheContextOfWorkThatCannotBegin) {
    EVOFFLOAD* const pool = EVOFFLOAD_init(1, 1);
    int dropped = 0;
    faults.fail_nth(1);
    Outcome called;
    called = EVOFFLOAD_call(
        pool, [](void*) {}, &dropped, [](void* count) { ++*static_cast<int*>(count); }, soon());
    faults.stop();
    CHECK_OUTCOME(-1, ENOMEM, called);
    CHECK_EQUAL(1, dropped);
    CHECK_EQUAL(0, EVOFFLOAD_free(pool));
}

TEST(CFaceWithoutMemory, SaysSoForAddresses) {
    IPADDRESS address;
    SOCKADDR saddr;
    faults.fail_all();
    const int parsed =
        SOCKADDR_parse(&saddr, "an address that is wrong and long enough to be quoted on the heap");
    const int error = errno;
    const int ip = IPADDRESS_parse(&address, "neither is this, which is long enough as well, by far");
    const int ip_error = errno;
    faults.stop();
    CHECK_EQUAL(-1, parsed);
    CHECK_EQUAL(-1, ip);
    CHECK(error == ENOMEM || error == EINVAL);
    CHECK(ip_error == ENOMEM || ip_error == EINVAL);
}
