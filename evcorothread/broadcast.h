// Broadcast: gives every value to every subscriber; each has a bounded queue, and says what happens when it
// is slow.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <variant>

#include "cutils/check.h"
#include "cutils/deadline.h"
#include "cutils/intrusive.h"
#include "cutils/result.h"
#include "cutils/scope_exit.h"
#include "evcorothread/channel.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread {

// What happens to a value for which a subscriber has no room.
enum class SlowSubscriber {
    wait,         // publish() waits for it: everybody gets everything, at the pace of the slowest
    drop_oldest,  // its oldest value makes room, and is counted
    disconnect,   // it takes what it has, then gets std::errc::no_buffer_space, and nothing any more
};

struct SubscriberOptions {
    std::size_t capacity;  // of its queue, at least 1
    SlowSubscriber slow;
};

// What came of a publish(); both can be set.
struct [[nodiscard]] Published {
    std::size_t subscribers = 0;  // that have the value, or room that had to be made for it
    std::error_code error;        // timed_out, canceled, would_block: the others missed it; closed

    explicit operator bool() const noexcept { return !error; }
};

// One who receives what is published while it lives.
//
// Owner:  the receiving coroutine, as a local. Unsubscribes when destroyed; may outlive the Broadcast. Not
//         movable.
// Thread: the Broadcast's.
template <class T>
class Subscriber final : public cutils::ListHook<> {
  public:
    // From here on it gets what is published. Errors: std::bad_alloc.
    // Before: options.capacity > 0.
    Subscriber(Broadcast<T>& source, SubscriberOptions options);
    ~Subscriber() { unlink(); }

    // The oldest value it has not had.
    // Suspends: while there is none.
    // Errors:   timed_out, canceled
    //           closed                       the Broadcast was closed, and everything has been received
    //           std::errc::no_buffer_space   it was disconnected, being slow, and everything it had has been
    //                                        received
    [[nodiscard]] cutils::Result<T> recv(Deadline deadline) { return queue_.recv(deadline); }
    [[nodiscard]] cutils::Result<T> try_recv() { return queue_.try_recv(); }
    // An arm for select: see Channel::on_recv. Its error is recv's.
    template <class F>
    [[nodiscard]] auto on_recv(F&& function) {
        return queue_.on_recv(std::forward<F>(function));
    }

    [[nodiscard]] std::size_t size() const { return queue_.size(); }
    [[nodiscard]] std::size_t capacity() const { return queue_.capacity(); }
    // How many values it never saw: SlowSubscriber::drop_oldest.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
    // Nothing more will come.
    [[nodiscard]] bool closed() const { return queue_.closed(); }

  private:
    friend class Broadcast<T>;
    enum class Took { yes, never_again, later };

    Took offer(const T& value);

    Channel<T> queue_;
    const SlowSubscriber slow_;
    std::uint64_t dropped_ = 0;
};

// Usage:
//
//   Broadcast<Price> prices;
//
//   Subscriber<Price> mine(prices, {.capacity = 64, .slow = SlowSubscriber::drop_oldest});   // a coroutine
//   while (auto price = mine.recv(Deadline::never)) show(*price);
//
//   (void)prices.publish(price, 1s);   // another
//   prices.close();
//
// Order:  all subscribers see the values in the same order; publishers take turns.
// Values: copied once for each subscriber; for large ones publish a std::shared_ptr<const T>.
// Owner:  whoever outlives its publishers. Its end is a close().
// Thread: one: the OS thread that uses it first.
// Memory: bounded: the sum of its subscribers' capacities.
template <class T>
class Broadcast {
    static_assert(std::copy_constructible<T>, "a Broadcast copies what it carries for each subscriber");

  public:
    Broadcast() = default;
    Broadcast(const Broadcast&) = delete;
    Broadcast& operator=(const Broadcast&) = delete;
    ~Broadcast();

    // Gives a copy of `value` to every subscriber that is there now: at once to all that have room or do not
    // ask to be waited for, then to the others as room comes.
    //
    // Before:   called in a coroutine thread.
    // Suspends: while a subscriber with SlowSubscriber::wait is full, or another publisher waits for one.
    // Errors:   timed_out, canceled: subscribers that were full until then miss this value; closed. What the
    //           copying throws leaves the rest without it.
    Published publish(const T& value, Deadline deadline);
    // The same without waiting: full ones that ask to be waited for miss the value, and the error is
    // would_block; also when another publisher is waiting: then nobody gets it.
    Published try_publish(const T& value);

    // Ends it: subscribers take what they have, then get `closed`; publishers get `closed`, those that wait
    // too. Idempotent; never suspends.
    void close();
    [[nodiscard]] bool closed() const { return turn_.closed(); }

    // How many subscribers there are; disconnected ones do not count.
    [[nodiscard]] std::size_t subscribers();

  private:
    friend class Subscriber<T>;
    using Subscribers = cutils::List<Subscriber<T>>;

    std::size_t offer_all(const T& value);
    std::error_code wait_for_owed(const T& value, Deadline deadline, std::size_t& count);
    void end_turn();

    Subscribers subscribers_;
    Subscribers owed_;                 // who are still to get what is being published
    Channel<std::monostate> turn_{1};  // whoever has sent into it publishes
};

template <class T>
Subscriber<T>::Subscriber(Broadcast<T>& source, SubscriberOptions options)
    : queue_(options.capacity), slow_(options.slow) {
    EVC_CHECK(options.capacity > 0, "a Subscriber needs a queue: give it a capacity");
    source.turn_.check_thread();
    queue_.check_thread();
    if (source.closed())
        queue_.close();
    else
        source.subscribers_.push_back(*this);
}

template <class T>
auto Subscriber<T>::offer(const T& value) -> Took {
    if (!queue_.may_send()) {
        if (slow_ == SlowSubscriber::wait) return Took::later;
        if (slow_ == SlowSubscriber::disconnect) {
            queue_.end(std::make_error_code(std::errc::no_buffer_space));
            return Took::never_again;
        }
    }
    T copy(value);
    if (queue_.closed()) return Took::never_again;  // the copying has closed it
    if (!queue_.put(copy)) {
        (void)queue_.try_recv();
        ++dropped_;
        (void)queue_.put(copy);
    }
    return Took::yes;
}

template <class T>
std::size_t Broadcast<T>::offer_all(const T& value) {
    using Took = typename Subscriber<T>::Took;
    std::size_t count = 0;
    subscribers_.for_each([&](Subscriber<T>& subscriber) {
        const Took took = subscriber.offer(value);
        if (took == Took::yes)
            ++count;
        else
            subscriber.unlink();
        if (took == Took::later) owed_.push_back(subscriber);
    });
    return count;
}

template <class T>
std::error_code Broadcast<T>::wait_for_owed(const T& value, Deadline deadline, std::size_t& count) {
    std::error_code error;
    while (!owed_.empty()) {
        T copy(value);
        // Back among the others first: when the wait is over, it may be gone.
        Subscriber<T>& subscriber = owed_.pop_front();
        subscribers_.push_back(subscriber);
        const std::error_code missed = subscriber.queue_.send(std::move(copy), deadline);
        if (!missed)
            ++count;
        else if (missed != NetError::closed || closed())
            error = missed;
    }
    return error;
}

template <class T>
void Broadcast<T>::end_turn() {
    while (!owed_.empty()) subscribers_.push_back(owed_.pop_front());
    (void)turn_.try_recv();
}

template <class T>
Published Broadcast<T>::publish(const T& value, Deadline deadline) {
    const auto resolve = [&deadline] {
        if (deadline.is_relative()) deadline = deadline.resolved(this_evthread::loop().precise_now());
    };
    if (!turn_.empty() && this_evthread::in_evthread()) resolve();
    if (const std::error_code error = turn_.send({}, deadline)) return {0, error};
    const cutils::ScopeExit turn([this] { end_turn(); });
    if (closed()) return {0, NetError::closed};  // after the turn had come, before this coroutine ran
    Published published{offer_all(value), {}};
    if (owed_.empty()) return published;
    resolve();
    published.error = wait_for_owed(value, deadline, published.subscribers);
    return published;
}

template <class T>
Published Broadcast<T>::try_publish(const T& value) {
    if (const std::error_code error = turn_.try_send({})) return {0, error};
    const cutils::ScopeExit turn([this] { end_turn(); });
    Published published{offer_all(value), {}};
    if (!owed_.empty()) published.error = NetError::would_block;
    return published;
}

template <class T>
void Broadcast<T>::close() {
    turn_.close();
    for (Subscribers* some : {&subscribers_, &owed_})
        some->for_each([](Subscriber<T>& subscriber) { subscriber.queue_.close(); });
}

template <class T>
std::size_t Broadcast<T>::subscribers() {
    std::size_t count = 0;
    for (Subscribers* some : {&subscribers_, &owed_}) some->for_each([&count](Subscriber<T>&) { ++count; });
    return count;
}

template <class T>
Broadcast<T>::~Broadcast() {
    EVC_CHECK(turn_.empty(), "a Broadcast is destroyed while a coroutine publishes: close() it and wait");
    close();
    while (!subscribers_.empty()) subscribers_.pop_front();
}

}  // namespace evcorothread
