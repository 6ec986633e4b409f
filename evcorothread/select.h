// select: waits for the first of several things — a value, room for one, a time, a descriptor — and does
// exactly one of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/channel.h"
#include "evcorothread/select_arm.h"
#include "evcorothread/shared_channel_arm.h"

namespace evcorothread {

// Which arm happened, and how.
//
//   SelectResult which = select(lines.on_recv([](Line l) {…}), quit.on_recv([] {…}), 5s);
//   if (which.timed_out()) …          // no arm happened
//   if (which.arm == 0 && which.closed()) …   // the first arm's channel is closed, and empty
struct [[nodiscard]] SelectResult {
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    // The place of the arm that happened in the list of arms, from 0; kNone when none did.
    std::size_t arm = kNone;
    // With an arm, why it could not do its work:
    //   closed        its channel is closed (and, for a receiving arm, empty), or its socket is
    //   busy          another coroutine is receiving from its socket
    //   other         its channel's own reason (see Broadcast); the errno of poll(2) or epoll_ctl(2)
    // Without: timed_out, canceled; would_block from try_select.
    std::error_code error;

    explicit operator bool() const noexcept { return !error; }
    [[nodiscard]] bool none() const noexcept { return arm == kNone; }
    [[nodiscard]] bool timed_out() const noexcept { return error == NetError::timed_out; }
    [[nodiscard]] bool canceled() const noexcept { return error == NetError::canceled; }
    [[nodiscard]] bool closed() const noexcept { return error == NetError::closed; }
    [[nodiscard]] bool would_block() const noexcept { return error == NetError::would_block; }
};

enum class SelectOrder {
    fair,     // of several arms that are ready, each is as likely, drawn from the loop's seeded generator
    ordered,  // the first that is ready, in the order written
};

// The same for a number of arms known at run time. `deadline` null: does not wait.
// Before: no arm twice.
EVC_API SelectResult select_from(std::span<SelectArm* const> arms, SelectOrder order, Deadline deadline);
EVC_API SelectResult try_select_from(std::span<SelectArm* const> arms, SelectOrder order);

template <class Arm>
concept SelectArmType = std::derived_from<std::remove_cvref_t<Arm>, SelectArm>;

namespace detail {

// The arms are all arguments but the last, the deadline.
template <class First, class... Rest>
struct ArmsThenDeadline {
    static constexpr bool value = SelectArmType<First> && ArmsThenDeadline<Rest...>::value;
};
template <class Last>
struct ArmsThenDeadline<Last> {
    static constexpr bool value = std::convertible_to<Last, Deadline>;
};

template <std::size_t... I, class Tuple>
SelectResult select_tuple(SelectOrder order, std::index_sequence<I...>, Tuple&& arguments) {
    SelectArm* const arms[] = {&std::get<I>(arguments)..., nullptr};
    return select_from({arms, sizeof...(I)}, order, Deadline(std::get<sizeof...(I)>(arguments)));
}

}  // namespace detail

// Waits until one of the arms can happen, does that one, and calls its function. Exactly one arm happens, or
// none: then there is an error and no arm's value, room or time was touched.
//
//   for (;;) {
//       SelectResult which = select(
//           jobs.on_recv([&](Job job) { work(job); }),
//           results.on_send(std::move(next), [&] { next = make_next(); }),
//           on_readable(socket, [&] { read_some(socket); }),
//           on_time(next_tick, [&] { next_tick += 1s; }),
//           quit.on_recv([&] { running = false; }),
//           5s);
//       if (!which) break;
//   }
//
// Before:   called in a coroutine thread. The arms, then the deadline.
// Suspends: when no arm is ready. The functions are called by this coroutine after that, and may do anything:
//           wait, select, use the same channels.
// Errors:   see SelectResult. Closed channels are ready: their arm is chosen, with `closed`. What a function
//           throws is thrown.
// Order:    several arms that are ready: fair, see SelectOrder. select_ordered takes the first.
// Note:     an arm that sends and one that receives on the same channel never meet in the same select.
// Threads:  the arms are of this loop, but for those of a SharedChannel, whose partners may be anywhere.
// Cost:     no allocation; one wait, with one place in the queue of each channel.
template <class... Arguments>
requires(detail::ArmsThenDeadline<Arguments...>::value) SelectResult
    select(Arguments&&... arms_then_deadline) {
    return detail::select_tuple(SelectOrder::fair, std::make_index_sequence<sizeof...(Arguments) - 1>{},
                                std::forward_as_tuple(arms_then_deadline...));
}
template <class... Arguments>
requires(detail::ArmsThenDeadline<Arguments...>::value) SelectResult
    select_ordered(Arguments&&... arms_then_deadline) {
    return detail::select_tuple(SelectOrder::ordered, std::make_index_sequence<sizeof...(Arguments) - 1>{},
                                std::forward_as_tuple(arms_then_deadline...));
}

// The same without waiting: would_block, and no arm, when none is ready. Anywhere on the loop's OS thread.
template <SelectArmType... Arms>
SelectResult try_select(Arms&&... arms) {
    SelectArm* const list[] = {&arms..., nullptr};
    return try_select_from({list, sizeof...(Arms)}, SelectOrder::fair);
}
template <SelectArmType... Arms>
SelectResult try_select_ordered(Arms&&... arms) {
    SelectArm* const list[] = {&arms..., nullptr};
    return try_select_from({list, sizeof...(Arms)}, SelectOrder::ordered);
}

// An arm that happens when the time comes; unlike select's own deadline, which means that nothing did. A
// duration counts from the beginning of each select.
template <std::invocable F>
[[nodiscard]] TimeArm<std::decay_t<F>> on_time(Deadline when, F&& function) {
    return {std::forward<F>(function), when};
}

// An arm that happens when the socket's recv would not wait: bytes, the end of the stream, an error. Takes
// nothing. The socket's idle timeout does not count here. A function that takes a std::error_code is called
// for `busy` and `closed`, too.
template <class F>
[[nodiscard]] SocketArm<std::decay_t<F>> on_readable(EvSocket& socket, F&& function) {
    return {std::forward<F>(function), socket};
}

// An arm that happens when read(2), or write(2), on a descriptor of somebody else's would not block: see
// wait_fd.h. Cost: a poll(2) each time select looks, two epoll_ctl(2) when it suspends.
template <class F>
[[nodiscard]] DescriptorArm<std::decay_t<F>> on_readable(int fd, F&& function) {
    return {std::forward<F>(function), fd, DescriptorArmCore::kReadable};
}
template <class F>
[[nodiscard]] DescriptorArm<std::decay_t<F>> on_writable(int fd, F&& function) {
    return {std::forward<F>(function), fd, DescriptorArmCore::kWritable};
}

}  // namespace evcorothread
