// The C face: channels, and select.
#include <cerrno>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "evcorothread/evthread_channel.h"
#include "test/evcorothread/c_face_fixture.h"

using namespace c_face_test;

TEST_GROUP_BASE(CFaceChannel,
                CFace){EVCHANNEL * make_channel(std::size_t capacity, std::size_t size = sizeof(int)){
                                       EVCHANNEL* const channel = EVCHANNEL_init(loop, size, capacity);
CHECK(channel != nullptr);
return channel;
}
void start_sender(EVCHANNEL* channel, int value) {
    start([channel, value](EVTHREAD*, EVSOCKET*) { EVCHANNEL_send(channel, &value, soon()); });
}
// What comes until the channel is closed.
void start_receiver(EVCHANNEL* channel, std::vector<int>& received, Outcome& last) {
    start([&, channel](EVTHREAD*, EVSOCKET*) {
        int value = 0;
        while ((last = EVCHANNEL_recv(channel, &value, soon()), last.result) == 0) received.push_back(value);
    });
}
}
;

TEST(CFaceChannel, OfMoreBytesThanThereCanBeIsOutOfMemory) {
    for (const auto& [size, capacity] : {std::pair<std::size_t, std::size_t>{SIZE_MAX, 1},
                                         {1, SIZE_MAX},
                                         {SIZE_MAX / 2 + 2, 1},
                                         {std::size_t{1} << 40, std::size_t{1} << 40}}) {
        errno = 0;
        POINTERS_EQUAL(nullptr, EVCHANNEL_init(loop, size, capacity));
        LONGS_EQUAL(ENOMEM, errno);
    }
}

TEST(CFaceChannel, HandsMessagesOverInTheirOrder) {
    for (const std::size_t capacity : {0U, 1U, 3U, 100U}) {
        std::vector<int> received;
        Outcome last;
        EVCHANNEL* const channel = make_channel(capacity);
        start_receiver(channel, received, last);
        start([channel](EVTHREAD*, EVSOCKET*) {
            for (int i = 1; i <= 10; ++i) EVCHANNEL_send(channel, &i, soon());
            EVCHANNEL_close(channel);
        });
        run_loop();
        CHECK(received == std::vector<int>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
        CHECK_OUTCOME(-1, EPIPE, last);
        CHECK_EQUAL(0, EVCHANNEL_free(channel));
    }
}

TEST(CFaceChannel, ServesSendersThatWaitInTheirOrder) {
    for (const std::size_t capacity : {0U, 1U}) {
        std::vector<int> received;
        Outcome last;
        EVCHANNEL* const channel = make_channel(capacity);
        for (int i = 1; i <= 3; ++i) start_sender(channel, i);
        start([&](EVTHREAD*, EVSOCKET*) {
            for (int i = 0, value = 0; i < 3; ++i) {
                last = EVCHANNEL_recv(channel, &value, soon());
                received.push_back(value);
            }
        });
        run_loop();
        CHECK(received == std::vector<int>({1, 2, 3}));
        CHECK_OUTCOME(0, 0, last);
    }
}

TEST(CFaceChannel, ServesReceiversThatWaitInTheirOrder) {
    EVCHANNEL* const channel = make_channel(0);
    int got[3] = {};
    for (int& value : got)
        start([&value, channel](EVTHREAD*, EVSOCKET*) { EVCHANNEL_recv(channel, &value, soon()); });
    start([channel](EVTHREAD*, EVSOCKET*) {
        for (int i = 1; i <= 3; ++i) EVCHANNEL_send(channel, &i, soon());
    });
    run_loop();
    for (int i = 0; i < 3; ++i) CHECK_EQUAL(i + 1, got[i]);
}

TEST(CFaceChannel, CopiesMessagesOfAnySizeWhole) {
    for (const std::size_t size : {1U, 3U, 24U, 1000U}) {
        for (const std::size_t capacity : {0U, 2U}) {
            EVCHANNEL* const channel = make_channel(capacity, size);
            const std::string sent[3] = {std::string(size, 'a'), std::string(size, 'b'),
                                         std::string(size, 'c')};
            std::string got(size + 1, '.'), all;
            start([&](EVTHREAD*, EVSOCKET*) {
                for (const std::string& each : sent) EVCHANNEL_send(channel, each.data(), soon());
            });
            start([&](EVTHREAD*, EVSOCKET*) {
                for (int i = 0; i < 3; ++i) {
                    EVCHANNEL_recv(channel, got.data(), soon());
                    all += got;
                }
            });
            run_loop();
            CHECK_EQUAL(sent[0] + "." + sent[1] + "." + sent[2] + ".", all);
        }
    }
}

TEST(CFaceChannel, TimesOutWithoutTouchingAnything) {
    EVCHANNEL* const channel = make_channel(0);
    Outcome sent, received;
    int value = 7;
    start([&](EVTHREAD*, EVSOCKET*) {
        received = EVCHANNEL_recv(channel, &value, EVTIMEOUT_ms(1));
        sent = EVCHANNEL_send(channel, &value, no_time());
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, received);
    CHECK_OUTCOME(-1, ETIMEDOUT, sent);
    CHECK_EQUAL(7, value);
}

TEST(CFaceChannel, MovesWhatItCanWhenTheTimeHasPassed) {
    EVCHANNEL* const channel = make_channel(1);
    Outcome sent, received;
    start([&](EVTHREAD*, EVSOCKET*) {
        int value = 7;
        sent = EVCHANNEL_send(channel, &value, EVTIMEOUT_ms(-1));
        received = EVCHANNEL_recv(channel, &value, no_time());
    });
    run_loop();
    CHECK_OUTCOME(0, 0, sent);
    CHECK_OUTCOME(0, 0, received);
}

TEST(CFaceChannel, IsLeftByOneThatIsCanceled) {
    EVCHANNEL* const channel = make_channel(0);
    Outcome received, tried;
    int value = 0;
    EVTHREAD* const waiting =
        start([&](EVTHREAD*, EVSOCKET*) { received = EVCHANNEL_recv(channel, &value, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) {
        EVTHREAD_cancel(waiting);
        tried = EVCHANNEL_try_send(channel, &value);
    });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, received);
    CHECK_OUTCOME(-1, EAGAIN, tried);
}

TEST(CFaceChannel, KeepsWhatWasHandedOverBeforeACancel) {
    EVCHANNEL* const channel = make_channel(0);
    Outcome received;
    int got = 0;
    EVTHREAD* const waiting =
        start([&](EVTHREAD*, EVSOCKET*) { received = EVCHANNEL_recv(channel, &got, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) {
        const int value = 7;
        EVCHANNEL_try_send(channel, &value);
        EVTHREAD_cancel(waiting);
    });
    run_loop();
    CHECK_OUTCOME(0, 0, received);
    CHECK_EQUAL(7, got);
}

TEST(CFaceChannel, WakesThoseWhoWaitWhenItIsClosedOrFreed) {
    for (const bool is_freed : {false, true}) {
        EVCHANNEL* const channel = make_channel(0);
        Outcome first, second;
        for (Outcome* outcome : {&first, &second})
            start([outcome, channel](EVTHREAD*, EVSOCKET*) {
                int value = 0;
                *outcome = EVCHANNEL_recv(channel, &value, EVTIMEOUT_never());
            });
        start([&](EVTHREAD*, EVSOCKET*) { is_freed ? EVCHANNEL_free(channel) : EVCHANNEL_close(channel); });
        run_loop();
        CHECK_OUTCOME(-1, EPIPE, first);
        CHECK_OUTCOME(-1, EPIPE, second);
    }
}

TEST(CFaceChannel, RefusesSendersOnceClosedButGivesOutWhatItHolds) {
    EVCHANNEL* const channel = make_channel(2);
    int value = 7;
    CHECK_EQUAL(0, EVCHANNEL_try_send(channel, &value));
    CHECK_EQUAL(0, EVCHANNEL_close(channel));
    CHECK_EQUAL(0, EVCHANNEL_close(channel));
    CHECK_FAILS(EPIPE, EVCHANNEL_try_send(channel, &value));
    value = 0;
    CHECK_EQUAL(0, EVCHANNEL_try_recv(channel, &value));
    CHECK_EQUAL(7, value);
    CHECK_FAILS(EPIPE, EVCHANNEL_try_recv(channel, &value));
}

TEST(CFaceChannel, TriesWithoutWaiting) {
    EVCHANNEL* const channel = make_channel(1);
    int value = 7;
    CHECK_FAILS(EAGAIN, EVCHANNEL_try_recv(channel, &value));
    CHECK_EQUAL(0, EVCHANNEL_try_send(channel, &value));
    CHECK_EQUAL(1, EVCHANNEL_size(channel));
    CHECK_FAILS(EAGAIN, EVCHANNEL_try_send(channel, &value));
    CHECK_EQUAL(0, EVCHANNEL_try_recv(channel, &value));
    CHECK_EQUAL(0, EVCHANNEL_size(channel));
}

TEST(CFaceChannel, IsItsLoopsThreadsAlone) {
    EVCHANNEL* const channel = make_channel(1);
    int value = 7;
    EVCHANNEL_try_send(channel, &value);
    Outcome tried, closed;
    std::thread([&] {
        tried = EVCHANNEL_try_recv(channel, &value);
        closed = EVCHANNEL_close(channel);
    }).join();
    CHECK_OUTCOME(-1, EINVAL, tried);
    CHECK_OUTCOME(-1, EINVAL, closed);
}

TEST(CFaceChannel, RefusesNonsense) {
    EVCHANNEL* const channel = make_channel(1);
    int value = 0;
    CHECK_FAILS_NULL(EINVAL, EVCHANNEL_init(nullptr, 4, 1));
    CHECK_FAILS_NULL(EINVAL, EVCHANNEL_init(loop, 0, 1));
    CHECK_FAILS_NULL(ENOMEM, EVCHANNEL_init(loop, 16, SIZE_MAX / 4));
    CHECK_FAILS(EINVAL, EVCHANNEL_send(nullptr, &value, soon()));
    CHECK_FAILS(EINVAL, EVCHANNEL_send(channel, &value, soon()));  // outside of any coroutine
    CHECK_FAILS(EINVAL, EVCHANNEL_recv(nullptr, &value, soon()));
    CHECK_FAILS(EINVAL, EVCHANNEL_recv(channel, &value, soon()));
    CHECK_FAILS(EINVAL, EVCHANNEL_try_send(nullptr, &value));
    CHECK_FAILS(EINVAL, EVCHANNEL_try_send(channel, nullptr));
    CHECK_FAILS(EINVAL, EVCHANNEL_try_recv(nullptr, &value));
    CHECK_FAILS(EINVAL, EVCHANNEL_try_recv(channel, nullptr));
    CHECK_FAILS(EINVAL, EVCHANNEL_size(nullptr));
    CHECK_FAILS(EINVAL, EVCHANNEL_close(nullptr));
    CHECK_FAILS(EINVAL, EVCHANNEL_free(nullptr));
}

TEST_GROUP_BASE(CFaceSelect, CFace) {
    EVCHANNEL* left = nullptr;
    EVCHANNEL* right = nullptr;
    int a = 0, b = 0;
    Outcome selected;

    void setup() override {
        CFace::setup();
        left = EVCHANNEL_init(loop, sizeof(int), 1);
        right = EVCHANNEL_init(loop, sizeof(int), 0);
    }
    static void put(EVCHANNEL * channel, int value) { EVCHANNEL_try_send(channel, &value); }
};

TEST(CFaceSelect, ReceivesFromTheOneThatHasSomething) {
    put(left, 7);
    EVCHANNEL_ARM arms[] = {{right, EVCHANNEL_RECV, &a, 99}, {left, EVCHANNEL_RECV, &b, 99}};
    start([&](EVTHREAD*, EVSOCKET*) { selected = EVCHANNEL_select(arms, 2, soon()); });
    run_loop();
    CHECK_OUTCOME(1, 0, selected);
    CHECK_EQUAL(7, b);
    CHECK_EQUAL(0, a);
    CHECK_EQUAL(0, arms[1].error);
    CHECK_EQUAL(99, arms[0].error);
}

TEST(CFaceSelect, WaitsForWhoeverComesFirst) {
    EVCHANNEL_ARM arms[] = {{left, EVCHANNEL_RECV, &a, 0}, {right, EVCHANNEL_RECV, &b, 0}};
    start([&](EVTHREAD*, EVSOCKET*) { selected = EVCHANNEL_select(arms, 2, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) { put(right, 7); });
    run_loop();
    CHECK_OUTCOME(1, 0, selected);
    CHECK_EQUAL(7, b);
}

TEST(CFaceSelect, SendsWhenSomebodyReceives) {
    int to_left = 1, to_right = 2, got = 0;
    put(left, 9);  // full
    EVCHANNEL_ARM arms[] = {{left, EVCHANNEL_SEND, &to_left, 0}, {right, EVCHANNEL_SEND, &to_right, 0}};
    start([&](EVTHREAD*, EVSOCKET*) { selected = EVCHANNEL_select(arms, 2, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) { EVCHANNEL_recv(right, &got, soon()); });
    run_loop();
    CHECK_OUTCOME(1, 0, selected);
    CHECK_EQUAL(2, got);
    CHECK_EQUAL(1, EVCHANNEL_size(left));
}

TEST(CFaceSelect, TellsWhichChannelIsClosed) {
    EVCHANNEL_ARM arms[] = {{left, EVCHANNEL_RECV, &a, 0}, {right, EVCHANNEL_SEND, &b, 0}};
    for (const bool before : {true, false}) {
        if (before) EVCHANNEL_close(right);
        start([&](EVTHREAD*, EVSOCKET*) { selected = EVCHANNEL_select(arms, 2, soon()); });
        if (!before) start([&](EVTHREAD*, EVSOCKET*) { EVCHANNEL_free(right); });
        run_loop();
        CHECK_OUTCOME(1, 0, selected);
        CHECK_EQUAL(EPIPE, arms[1].error);
        EVCHANNEL_free(before ? right : nullptr);
        arms[1] = {right = EVCHANNEL_init(loop, sizeof(int), 0), EVCHANNEL_SEND, &b, 0};
    }
}

TEST(CFaceSelect, TimesOutAndIsCanceled) {
    Outcome timed_out, canceled;
    EVCHANNEL_ARM arms[] = {{left, EVCHANNEL_RECV, &a, 0}, {right, EVCHANNEL_RECV, &b, 0}};
    start([&](EVTHREAD* self, EVSOCKET*) {
        timed_out = EVCHANNEL_select(arms, 2, EVTIMEOUT_ms(1));
        EVTHREAD_cancel(self);
        canceled = EVCHANNEL_select(arms, 2, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, timed_out);
    CHECK_OUTCOME(-1, ECANCELED, canceled);
    put(left, 7);  // nobody waits there any more
    CHECK_EQUAL(1, EVCHANNEL_size(left));
}

TEST(CFaceSelect, SkipsArmsWithoutAChannel) {
    put(left, 7);
    EVCHANNEL_ARM arms[] = {{nullptr, EVCHANNEL_RECV, nullptr, 0}, {left, EVCHANNEL_RECV, &a, 0}};
    Outcome none;
    start([&](EVTHREAD*, EVSOCKET*) {
        selected = EVCHANNEL_select(arms, 2, soon());
        none = EVCHANNEL_select(arms, 1, EVTIMEOUT_ms(1));
    });
    run_loop();
    CHECK_OUTCOME(1, 0, selected);
    CHECK_OUTCOME(-1, ETIMEDOUT, none);
}

TEST(CFaceSelect, OrderedTakesTheFirstAndFairEach) {
    constexpr int kRounds = 1000;
    EVCHANNEL* const third = EVCHANNEL_init(loop, sizeof(int), 1);
    int ordered = 0, fair[2] = {};
    EVCHANNEL_ARM arms[] = {{left, EVCHANNEL_RECV, &a, 0}, {third, EVCHANNEL_RECV, &b, 0}};
    start([&](EVTHREAD*, EVSOCKET*) {
        for (int i = 0; i < kRounds; ++i) {
            put(left, 1);
            put(third, 1);
            ordered += EVCHANNEL_select_ordered(arms, 2, soon());
            put(left, 1);
            ++fair[EVCHANNEL_select(arms, 2, soon()) == 0 ? 0 : 1];
        }
    });
    run_loop();
    CHECK_EQUAL(0, ordered);
    CHECK(fair[0] > kRounds / 3 && fair[1] > kRounds / 3);
}

TEST(CFaceSelect, TakesMoreArmsThanFindRoomOnTheStack) {
    std::vector<EVCHANNEL_ARM> arms(100, {right, EVCHANNEL_RECV, &a, 0});
    arms[93] = {left, EVCHANNEL_RECV, &b, 0};
    start([&](EVTHREAD*, EVSOCKET*) { selected = EVCHANNEL_select(arms.data(), 100, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) { put(left, 7); });
    run_loop();
    CHECK_OUTCOME(93, 0, selected);
    CHECK_EQUAL(7, b);
}

TEST(CFaceSelect, RefusesNonsense) {
    EVCHANNEL_ARM good{left, EVCHANNEL_RECV, &a, 0}, no_op{left, 2, &a, 0},
        no_room{left, EVCHANNEL_RECV, nullptr, 0};
    Outcome no_arms, no_count, wrong_op, without_room;
    start([&](EVTHREAD*, EVSOCKET*) {
        no_arms = EVCHANNEL_select(nullptr, 1, soon());
        no_count = EVCHANNEL_select(&good, 0, soon());
        wrong_op = EVCHANNEL_select(&no_op, 1, soon());
        without_room = EVCHANNEL_select(&no_room, 1, soon());
    });
    run_loop();
    for (const Outcome& each : {no_arms, no_count, wrong_op, without_room}) CHECK_OUTCOME(-1, EINVAL, each);
    CHECK_FAILS(EINVAL, EVCHANNEL_select(&good, 1, soon()));  // outside of any coroutine
}
