// One message from coroutine to coroutine through a channel: ours beside Boost.Fiber's.
//
//   ping_pong      two coroutines and two unbuffered channels, a message there and one back; both coroutines
//                  run the same code, as in the other benchmarks here (see call_depth.h)
//   ping_pong_two  the same, but each coroutine has code of its own: what the processor predicts of the
//                  returns of one, it has learnt from the other
//   buffered       a channel of 128, one sender, one receiver
//
// Every figure is per message.
#pragma once

#include <benchmark/benchmark.h>

#include <boost/fiber/all.hpp>
#include <cstdint>

#include "bench/micro_boost_fiber.h"
#include "bench/micro_ours.h"
#include "evcorothread/channel.h"

namespace bench {

inline constexpr std::size_t kChannelBuffer = 128;
inline constexpr int kMessagesAtATime = 10000;

}  // namespace bench

namespace bench::ours {

inline constexpr cutils::Deadline kNever = cutils::Deadline::never;

using Numbers = evcorothread::Channel<std::int64_t>;

// A message out, one back, `rounds` times; false when a channel ends.
[[gnu::noinline]] inline bool exchange(Numbers& out, Numbers& in, std::int64_t rounds) {
    for (; rounds > 0; --rounds) {
        if (out.send(std::int64_t{rounds}, kNever)) return false;
        if (!in.recv(kNever)) return false;
    }
    return true;
}

inline void channel_ping_pong(benchmark::State& state) {
    Numbers ping;
    Numbers pong;
    in_loop(1, [&](evcorothread::EvLoop& loop) {
        loop.spawn("pong", [&] {
            if (ping.recv(kNever))
                while (exchange(pong, ping, kMessagesAtATime)) continue;
        });
        while (state.KeepRunningBatch(kMessagesAtATime))
            if (!exchange(ping, pong, kMessagesAtATime)) state.SkipWithError("a channel failed");
        ping.close();
        pong.close();
    });
    state.SetItemsProcessed(state.iterations() * 2);
}

inline void channel_ping_pong_two(benchmark::State& state) {
    Numbers ping;
    Numbers pong;
    in_loop(1, [&](evcorothread::EvLoop& loop) {
        loop.spawn("pong", [&] {
            while (auto value = ping.recv(kNever))
                if (pong.send(*value + 1, kNever)) break;
        });
        std::int64_t count = 0;
        while (state.KeepRunningBatch(kMessagesAtATime)) {
            for (int i = 0; i < kMessagesAtATime; ++i) {
                if (ping.send(std::int64_t{count}, kNever)) return state.SkipWithError("send failed");
                const auto back = pong.recv(kNever);
                if (!back || *back != count + 1) return state.SkipWithError("recv failed");
                count = *back;
            }
        }
        ping.close();
    });
    state.SetItemsProcessed(state.iterations() * 2);
}

inline void channel_buffered(benchmark::State& state) {
    Numbers channel(kChannelBuffer);
    in_loop(1, [&](evcorothread::EvLoop& loop) {
        loop.spawn("sender", [&] {
            for (std::int64_t i = 0; !channel.send(std::int64_t{i}, kNever); ++i) continue;
        });
        std::int64_t count = 0;
        while (state.KeepRunningBatch(kMessagesAtATime)) {
            for (int i = 0; i < kMessagesAtATime; ++i) {
                const auto value = channel.recv(kNever);
                if (!value || *value != count++) return state.SkipWithError("recv failed");
            }
        }
        channel.close();
    });
    state.SetItemsProcessed(state.iterations());
}

}  // namespace bench::ours

namespace bench::boost_fiber {

using boost::fibers::channel_op_status;

using Numbers = boost::fibers::unbuffered_channel<std::int64_t>;

[[gnu::noinline]] inline bool exchange(Numbers& out, Numbers& in, std::int64_t rounds) {
    for (; rounds > 0; --rounds) {
        std::int64_t back = 0;
        if (out.push(rounds) != channel_op_status::success) return false;
        if (in.pop(back) != channel_op_status::success) return false;
    }
    return true;
}

inline void channel_ping_pong(benchmark::State& state) {
    Numbers ping;
    Numbers pong;
    boost::fibers::fiber other = spawn([&] {
        std::int64_t first = 0;
        if (ping.pop(first) == channel_op_status::success)
            while (exchange(pong, ping, kMessagesAtATime)) continue;
    });
    while (state.KeepRunningBatch(kMessagesAtATime))
        if (!exchange(ping, pong, kMessagesAtATime)) state.SkipWithError("a channel failed");
    ping.close();
    pong.close();
    other.join();
    state.SetItemsProcessed(state.iterations() * 2);
}

inline void channel_ping_pong_two(benchmark::State& state) {
    Numbers ping;
    Numbers pong;
    boost::fibers::fiber other = spawn([&] {
        std::int64_t value;
        while (ping.pop(value) == channel_op_status::success)
            if (pong.push(value + 1) != channel_op_status::success) break;
    });
    std::int64_t count = 0;
    while (state.KeepRunningBatch(kMessagesAtATime)) {
        for (int i = 0; i < kMessagesAtATime; ++i) {
            std::int64_t back = 0;
            if (ping.push(count) != channel_op_status::success ||
                pong.pop(back) != channel_op_status::success || back != count + 1)
                state.SkipWithError("a channel failed");
            count = back;
        }
    }
    ping.close();
    other.join();
    state.SetItemsProcessed(state.iterations() * 2);
}

inline void channel_buffered(benchmark::State& state) {
    boost::fibers::buffered_channel<std::int64_t> channel(kChannelBuffer);
    boost::fibers::fiber sender = spawn([&] {
        for (std::int64_t i = 0; channel.push(i) == channel_op_status::success; ++i) continue;
    });
    std::int64_t count = 0;
    while (state.KeepRunningBatch(kMessagesAtATime)) {
        for (int i = 0; i < kMessagesAtATime; ++i) {
            std::int64_t value = 0;
            if (channel.pop(value) != channel_op_status::success || value != count++)
                state.SkipWithError("a channel failed");
        }
    }
    channel.close();
    sender.join();
    state.SetItemsProcessed(state.iterations());
}

}  // namespace bench::boost_fiber
