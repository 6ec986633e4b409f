// SharedChannel<T>: a queue between coroutines of different loops, and OS threads.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/channel.h"
#include "evcorothread/wait_point.h"
#include "nutils/net_error.h"

namespace evcorothread {

template <class T, class F>
class SharedRecvArm;  // select.h
template <class T, class Value, class F>
class SharedSendArm;  // select.h

// What all of them share, whatever T is. Use SharedChannel<T>.
class EVC_API SharedChannelBase {
  public:
    SharedChannelBase(const SharedChannelBase&) = delete;
    SharedChannelBase& operator=(const SharedChannelBase&) = delete;

    // No more is sent: senders get `closed`, waiting ones, too; receivers take what is queued, then get
    // `closed`. Idempotent; never suspends; by anybody.
    void close();
    [[nodiscard]] bool is_closed() const;

    [[nodiscard]] std::size_t capacity() const;
    // How many are queued; as of now.
    [[nodiscard]] std::size_t size() const;

  protected:
    struct ItemType {
        std::size_t size;
        std::size_t alignment;
        void (*move)(void* to, void* from) noexcept;  // makes *to of *from
        void (*destroy)(void* item) noexcept;
    };
    SharedChannelBase(std::size_t capacity, const ItemType& type);
    ~SharedChannelBase();

    // When they succeed, `item` has been moved from, and `place` has one.
    std::error_code send_item(void* item, const Deadline* deadline);  // null: do not wait
    std::error_code recv_item(void* place, const Deadline* deadline);

  private:
    friend class SharedChannelArm;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Bounded: a sender that is faster waits. With a capacity of 0 each send waits until a receiver has taken it.
//
//   SharedChannel<Job> jobs(128);
//   std::thread producer([&] {                            // an OS thread blocks
//       while (auto job = read_job())
//           if (jobs.send(std::move(*job), Deadline::never)) return;
//       jobs.close();
//   });
//   group.post_all([&](EvLoop& loop, std::size_t) {       // a coroutine parks
//       loop.spawn("worker", [&] {
//           while (auto job = jobs.recv(Deadline::never)) work(*job);
//       });
//   });
//
// Senders and receivers are served first come, first served, coroutines and OS threads alike. A coroutine can
// wait for several of them, and for whatever else, at once: select.h. Within one loop, take Channel<T>: it
// has no lock and wakes nobody's OS thread.
//
// T:      may be move-only; moving it must not throw. It is moved, and destroyed, by whichever thread has it.
// Cancel: in a canceled coroutine, send and recv return `canceled` and move nothing; the try_ calls go on
//         working.
// Owner:  the application; must outlive the calls. What is still queued is destroyed with it.
// Thread: any: in a coroutine, or outside any loop. In a function that a loop calls (a posted one, a
//         timer's), only try_send, try_recv and close.
// Cost:   no allocation after construction; one lock a call, and an eventfd to wake a loop that sleeps.
template <class T>
class SharedChannel final : public SharedChannelBase {
    static_assert(std::is_nothrow_move_constructible_v<T>, "a channel moves its items, which must not throw");
    static_assert(std::is_nothrow_destructible_v<T>);

  public:
    explicit SharedChannel(std::size_t capacity) : SharedChannelBase(capacity, kType) {}
    ~SharedChannel() = default;

    // Puts `value` into the channel.
    // Suspends: while it is full (capacity 0: until somebody takes it).
    // Errors:   timed_out, canceled, closed; then the value stays with the caller.
    [[nodiscard]] std::error_code send(T&& value, Deadline deadline) { return send_item(&value, &deadline); }
    [[nodiscard]] std::error_code send(const T& value, Deadline deadline) {
        T copy(value);
        return send_item(&copy, &deadline);
    }
    // The same, or would_block. Never suspends.
    [[nodiscard]] std::error_code try_send(T&& value) { return send_item(&value, nullptr); }
    [[nodiscard]] std::error_code try_send(const T& value) {
        T copy(value);
        return send_item(&copy, nullptr);
    }

    // Takes the oldest one.
    // Suspends: while there is none.
    // Errors:   timed_out, canceled; closed once nothing is left.
    [[nodiscard]] cutils::Result<T> recv(Deadline deadline) { return take(&deadline); }
    // The same, or would_block. Never suspends.
    [[nodiscard]] cutils::Result<T> try_recv() { return take(nullptr); }

    // Arms for select (include "evcorothread/select.h"); the function is called as by Channel's on_recv:
    //
    //   jobs.on_recv([](Job job) {…})           with the item; not at all when the channel was closed
    //   jobs.on_recv([](Result<Job> job) {…})   with the item, or with `closed`
    //   quit.on_recv([] {…})                    for an item and for `closed` alike
    //
    // Partners may come on any OS thread. Exactly one arm happens, whatever comes at the same moment: what a
    // sender is told has been sent, this select has received, though its deadline, or a cancel, may have come
    // meanwhile.
    // Cost: what the calls cost, for each look; a lock more for each such arm when select suspends.
    template <class F>
    [[nodiscard]] SharedRecvArm<T, std::decay_t<F>> on_recv(F&& function) {
        return {*this, std::forward<F>(function)};
    }
    // Sends `value`, which stays untouched unless this arm is chosen; then calls the function, if there is
    // one, as Channel's on_send.
    // Lifetime: `value` must stay valid until select returns. The second form sends a copy made now; such an
    //           arm is for one send.
    template <class F = DoNothing>
    [[nodiscard]] SharedSendArm<T, T*, std::decay_t<F>> on_send(T&& value, F&& function = {}) {
        return {*this, &value, std::forward<F>(function)};
    }
    template <class F = DoNothing>
    [[nodiscard]] SharedSendArm<T, T, std::decay_t<F>> on_send(const T& value, F&& function = {}) {
        return {*this, value, std::forward<F>(function)};
    }

  private:
    template <class, class>
    friend class SharedRecvArm;
    // Room for one that may or may not be there.
    union Place {
        Place() noexcept {}
        ~Place() {}
        T value;
    };
    cutils::Result<T> take(const Deadline* deadline) {
        Place place;
        if (const std::error_code error = recv_item(&place.value, deadline)) return error;
        struct Gone {
            T& item;
            ~Gone() { std::destroy_at(&item); }
        } const gone{place.value};
        return cutils::Result<T>(std::move(place.value));
    }
    static constexpr ItemType kType{
        sizeof(T), alignof(T),
        [](void* to, void* from) noexcept { ::new (to) T(std::move(*static_cast<T*>(from))); },
        [](void* item) noexcept { std::destroy_at(static_cast<T*>(item)); }};
};

}  // namespace evcorothread
