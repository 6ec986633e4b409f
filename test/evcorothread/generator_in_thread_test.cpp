// Coroutines and generators of corothread inside coroutine threads: they may wait, too.
#include <string>

#include "corothread/generator.h"
#include "evcorothread/ev_thread.h"
#include "nutils/byte_buffer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;
using corothread::Generator;

TEST_GROUP_BASE(GeneratorInThread, LoopFixture) { std::string order; };

TEST_IN_ORDER(GeneratorInThread, MayWaitInItsBody) {
    for (const char name : {'a', 'b'})
        go([&, name] {
            Generator<int> slow(stacks, [](auto& yield) {
                for (int i = 0; i < 3; ++i) {
                    CHECK(!this_evthread::delay(1s));
                    yield(i);
                }
            });
            for (const int i : slow) order += name + std::to_string(i) + " ";
        });
    run_loop();
    CHECK_EQUAL("a0 b0 a1 b1 a2 b2 ", order);
}

TEST(GeneratorInThread, MayWaitLast) {
    for (int i = 0; i < 3; ++i)
        in_coroutine([&] {
            Generator<int> slow(stacks, [](auto& yield) {
                yield(1);
                CHECK(!this_evthread::delay(1s));
            });
            for ([[maybe_unused]] const int value : slow) order += ".";
        });
    CHECK_EQUAL("...", order);
}

TEST(GeneratorInThread, ReadsLinesFromASocket) {
    Connection connection = unix_connection(loop);
    go([&] {
        Generator<std::string> lines(stacks, [&](auto& yield) {
            nutils::ByteBuffer input(1024);
            while (const IoResult line = connection.socket.recv_until(input, "\n", 100, 1h)) {
                yield(std::string(input.readable().substr(0, line.bytes - 1)));
                input.consume(line.bytes);
            }
        });
        for (const std::string& line : lines) order += "[" + line + "]";
    });
    for (const char* piece : {"on", "e\ntwo", "\nthr", "ee\n"}) {
        run_ready();
        connection.peer_sends(piece);
    }
    run_ready();
    CHECK_EQUAL("[one][two][three]", order);
    connection.peer_closes();
    run_loop();
}

TEST(GeneratorInThread, IsKilledWhenItsThreadIsCanceled) {
    bool unwound = false;
    EvThread thread = go([&] {
        struct AtExit {
            bool& flag;
            ~AtExit() { flag = true; }
        };
        Generator<int> endless(stacks, [&](auto& yield) {
            const AtExit at_exit{unwound};
            while (!this_evthread::delay(1s)) yield(1);
            yield(0);
        });
        for (const int value : endless)
            if (value == 0) break;
    });
    advance(3s);
    thread.cancel();
    run_loop();
    CHECK(unwound);
}

TEST(GeneratorInThread, ItsExceptionsReachTheThread) {
    std::string caught;
    in_coroutine([&] {
        Generator<int> failing(stacks, [](auto& yield) {
            yield(1);
            CHECK(!this_evthread::delay(1s));
            throw std::runtime_error("late");
        });
        try {
            for ([[maybe_unused]] const int value : failing) continue;
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    });
    CHECK_EQUAL("late", caught);
}

TEST(GeneratorInThread, WaitingOnTheLoopsStackAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] {
                                             Generator<int> outside(
                                                 stacks, [](auto&) { (void)this_evthread::delay(1s); });
                                             (void)outside.next();
                                         }).c_str());
}
