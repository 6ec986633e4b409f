// Channel: hands values from coroutine to coroutine of one loop, first come, first served.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "cutils/result.h"
#include "evcorothread/here.h"
#include "evcorothread/wait_point.h"
#include "nutils/net_error.h"

namespace evcorothread {

using nutils::NetError;

template <class T, class F>
class RecvArm;  // select.h
template <class T, class Value, class F>
class SendArm;  // select.h
template <class T>
class Broadcast;
template <class T>
class Subscriber;

// What is called after a send in select when nothing else is said.
struct DoNothing {
    void operator()() const {}
};

// One who waits at a channel: a local of that coroutine, or an arm of its select.
struct ChannelWaiter : cutils::ListHook<ChannelWaiter> {
    // guarded: nobody yet; and other OS threads may end this wait, too, so whoever meets it asks the guard.
    // gone: the channel died after the wait had ended otherwise, and before the waiter ran.
    enum class Met : unsigned char { nobody, guarded, partner, end, gone };
    ChannelWaiter() = default;
    ChannelWaiter(WaitPoint& p, ThreadCore& who, void* where) : point(&p), thread(&who), place(where) {}
    WaitPoint* point = nullptr;
    ThreadCore* thread = nullptr;  // whose it is
    void* place = nullptr;         // of the value to send, or of the room for the one to receive
    const std::error_category* no_error = nullptr;
    Met met = Met::nobody;  // who ended the wait, if it was through this channel
};

// The part of a channel that does not depend on what goes through it: who waits, and how it ends. Not used by
// itself.
class EVC_API ChannelCore {
  public:
    ChannelCore(const ChannelCore&) = delete;
    ChannelCore& operator=(const ChannelCore&) = delete;

    // Ends the channel. Senders get `closed` from now on, those that wait too (their values stay with them);
    // receivers take what is buffered, then get `closed`, all of them: a broadcast of "it is over".
    // Idempotent; never suspends.
    void close() { end(NetError::closed); }

    [[nodiscard]] bool closed() const { return closed_; }
    // How many values it can hold, and how many it holds. An unbuffered one holds none.
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    // Whether try_recv, or try_send, would find a partner, a value or room, or the end of the channel.
    [[nodiscard]] bool may_recv() { return size_ > 0 || closed_ || somebody_waits(senders_); }
    [[nodiscard]] bool may_send() { return has_room() || closed_ || somebody_waits(receivers_); }

    // Aborts on another OS thread than its own.
    void check_thread() {
        if (!at_home()) [[unlikely]]
            settle();
    }

  protected:
    using Queue = cutils::List<ChannelWaiter, ChannelWaiter>;

    // Room for `capacity` values of that size and alignment.
    ChannelCore(std::size_t capacity, std::size_t size, std::align_val_t alignment);
    ~ChannelCore() {
        close();
        if (!late_.empty()) [[unlikely]]
            tell_late_ones();
    }

    // Is the buffer neither empty nor full? Then nobody waits: receivers do only while it is empty, senders
    // only while it is full.
    [[nodiscard]] bool inside(std::size_t middle) const { return size_ - 1 < middle; }
    [[nodiscard]] bool has_room() const { return size_ < capacity_ && !closed_; }
    // May a call with a deadline go ahead without a closer look?
    [[nodiscard]] bool unhindered() const { return at_home() && in_uncanceled_thread(); }
    [[nodiscard]] bool at_home() const { return os_thread_ == &t_here; }
    // The first use decides whose channel it is.
    void settle();

    // Where the value to be sent may be moved to now: the room of the receiver that waits longest, which is
    // woken, or a place in the buffer. Null: neither is to be had.
    void* place_to_send();
    // The same, or waits until somebody has moved it away (null), or an error (null, too).
    std::error_code place_to_send(void*& place, void* value, Deadline deadline);
    // Where the value to be received is now: in the buffer, or with the sender that waits longest, which is
    // woken. Null: there is none.
    void* place_to_recv();
    // The same, or waits until somebody has moved it into `place`, or an error.
    std::error_code place_to_recv(void*& place, Deadline deadline);
    // A value has left the buffer. Its place goes to the sender that waits longest: from where to where a
    // value is to be moved then; null: nobody waits.
    void* oldest_is_gone(void*& place);

    [[nodiscard]] void* slot(std::size_t index) const { return ring_.get() + index * value_size_; }
    [[nodiscard]] void* oldest() const { return slot(first_); }
    void drop_first() {
        if (++first_ == capacity_) first_ = 0;
        --size_;
    }
    std::size_t add_last() {
        std::size_t last = first_ + size_++;
        if (last >= capacity_) last -= capacity_;
        return last;
    }

    // The first who waits there and can still be woken, woken; its place. Null: nobody.
    void* wake_first(Queue& queue);
    bool somebody_waits(Queue& queue) { return !queue.empty() && somebody_is_left(queue); }
    bool somebody_is_left(Queue& queue);
    [[nodiscard]] static void* hand_over(Queue& queue);
    // What the calls with a deadline do when nothing is as usual.
    [[gnu::noinline]] std::error_code send_slowly(void*& place, void* value, Deadline deadline);
    [[gnu::noinline]] std::error_code recv_slowly(void*& place, Deadline deadline);
    std::error_code wait_for_ever(Queue& queue, void* place, const char* reason);
    std::error_code wait_in(Queue& queue, void* place, const char* reason, Deadline deadline);
    [[nodiscard]] std::error_code end_of(const Queue& queue) const;
    [[gnu::noinline]] std::error_code refusal(const ThreadCore* self);

    // What a call that did its work returns: std::error_code(), without asking for its category.
    [[nodiscard]] std::error_code done() const { return {0, *no_error_}; }
    // Why nothing can be received, or sent, just now.
    [[nodiscard]] std::error_code recv_obstacle() const {
        return closed_ ? reason_ : make_error_code(NetError::would_block);
    }
    [[nodiscard]] std::error_code send_obstacle() const {
        return closed_ ? NetError::closed : NetError::would_block;
    }

    // close(), with a reason of its own for receivers.
    void end(std::error_code reason);
    void tell_late_ones();

    friend class ChannelArm;
    Queue receivers_;
    Queue senders_;
    const std::size_t capacity_;
    const std::size_t middle_;  // how many sizes there are between empty and full
    std::size_t send_middle_;   // the same until closed, then 0
    std::size_t size_ = 0;
    std::size_t first_ = 0;  // where in the ring the oldest value is
    const std::size_t value_size_;
    const void* os_thread_ = nullptr;
    const std::error_category* const no_error_ = &std::system_category();
    struct Free {
        void operator()(unsigned char* ring) const { ::operator delete(ring, alignment); }
        std::align_val_t alignment;
    };
    const std::unique_ptr<unsigned char[], Free> ring_;
    std::error_code reason_;
    bool closed_ = false;
    // Whose wait had ended otherwise when their turn came, until they run: a select asks once more then.
    Queue late_;
};

// Usage:
//
//   Channel<Line> lines(128);             // Channel<Line> lines; makes every send wait for its receiver
//
//   if (auto error = lines.send(std::move(line), 3s)) return error;       // in one coroutine
//
//   while (auto line = lines.recv(Deadline::never)) print(*line);          // in another: until close()
//
//   select(lines.on_recv([](Line l) {…}), quit.on_recv([] {…}), 5s);       // whichever comes first: select.h
//
// Order:  values come out as they went in. Several senders, and several receivers, are served first come,
//         first served; whoever comes later never overtakes one that waits.
// Values: moved, never copied (but by send(const T&)); T may be move-only. What a failed send was to send is
//         still in the sender's variable; what was handed to a receiver counts as received, whatever happens
//         to that coroutine before it runs again. Values left in a channel die with it.
// Owner:  whoever outlives its users. Not movable. Its end is a close(): those who wait get `closed`.
// Thread: one. The OS thread that uses it first; another one aborts. Between OS threads use SharedChannel.
// Cancel: in a canceled coroutine, send and recv return `canceled` and move nothing; the try_ calls go on
//         working.
// Cost:   no allocation but the buffer, at construction. A value into or out of the buffer is a few loads and
//         stores; one that meets a waiting partner also makes that one ready, and does not switch.
template <class T>
class Channel final : public ChannelCore {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "a channel loses nothing: what it carries must move without exceptions; send a unique_ptr");

  public:
    using Value = T;

    // Unbuffered: a send ends when a receiver has the value.
    Channel() : Channel(0) {}
    // For `capacity` values. Errors: std::bad_alloc.
    explicit Channel(std::size_t capacity) : ChannelCore(capacity, sizeof(T), std::align_val_t(alignof(T))) {}
    ~Channel() {
        close();
        for (; size_ > 0; drop_first()) value_at(oldest()).~T();
    }

    // Gives `value` to the receiver that waits longest, else puts it into the buffer, else waits.
    //
    // Before:   called in a coroutine thread of the channel's OS thread.
    // Suspends: only while the buffer is full (unbuffered: while nobody receives).
    // After:    `value` is moved from on success, and untouched on any error.
    // Errors:   timed_out  the deadline passed; a passed one still sends what can be sent at once
    //           canceled   this coroutine was asked to stop
    //           closed     close() was called, before or meanwhile
    // Lifetime: `value` must stay valid until the call returns.
    [[nodiscard]] std::error_code send(T&& value, Deadline deadline) {
        if (inside(send_middle_) && unhindered()) {
            ::new (&ring()[add_last()].value) T(std::move(value));
            return done();
        }
        void* place = nullptr;
        const std::error_code error = place_to_send(place, &value, deadline);
        if (place != nullptr) ::new (place) T(std::move(value));
        return error;
    }
    // The same with a copy.
    [[nodiscard]] std::error_code send(const T& value,
                                       Deadline deadline) requires std::copy_constructible<T> {
        return send(T(value), deadline);
    }

    // The oldest value: from the buffer, else from the sender that waits longest, else waits for one.
    //
    // Before, Suspends: as send; only while there is nothing.
    // Errors:   timed_out, canceled; closed, once everything has been received.
    [[nodiscard]] cutils::Result<T> recv(Deadline deadline) {
        if (inside(middle_) && unhindered()) return take_oldest();
        return take_or_wait(deadline);
    }

    // The same without waiting: would_block instead. Anywhere on the channel's OS thread, also outside of
    // coroutines.
    [[nodiscard]] std::error_code try_send(T&& value) {
        check_thread();
        return put(value) ? done() : send_obstacle();
    }
    [[nodiscard]] std::error_code try_send(const T& value) requires std::copy_constructible<T> {
        return try_send(T(value));
    }
    [[nodiscard]] cutils::Result<T> try_recv();

    // Arms for select (include "evcorothread/select.h"). The function is called with the value, once, when
    // this arm was chosen:
    //
    //   lines.on_recv([](Line l) {…})           with the value; not at all when the channel was closed
    //   lines.on_recv([](Result<Line> l) {…})   with the value, or with `closed`
    //   quit.on_recv([] {…})                    for a value and for `closed` alike
    template <class F>
    [[nodiscard]] RecvArm<T, std::decay_t<F>> on_recv(F&& function) {
        return {*this, std::forward<F>(function)};
    }

    // Sends `value`, then calls the function, if there is one. `value` stays untouched unless this arm is
    // chosen.
    //
    //   out.on_send(std::move(line))
    //   out.on_send(std::move(line), [] {…})                    not called when the channel was closed
    //   out.on_send(std::move(line), [](std::error_code e) {…}) called for that, too
    //
    // Lifetime: `value` must stay valid until select returns. The second form sends a copy made now; such an
    //           arm is for one send.
    template <class F = DoNothing>
    [[nodiscard]] SendArm<T, T*, std::decay_t<F>> on_send(T&& value, F&& function = {}) {
        return {*this, &value, std::forward<F>(function)};
    }
    template <class F = DoNothing>
    requires std::copy_constructible<T>
    [[nodiscard]] SendArm<T, T, std::decay_t<F>> on_send(const T& value, F&& function = {}) {
        return {*this, value, std::forward<F>(function)};
    }

  private:
    template <class, class>
    friend class RecvArm;
    template <class, class, class>
    friend class SendArm;
    friend class Broadcast<T>;
    friend class Subscriber<T>;

    // Room for one value, filled by somebody else.
    union Room {
        Room() {}
        ~Room() {}
        T value;
    };

    static T& value_at(void* place) { return *static_cast<T*>(place); }
    [[nodiscard]] Room* ring() const { return reinterpret_cast<Room*>(ring_.get()); }

    [[gnu::always_inline]] inline cutils::Result<T> take_oldest() {
        T& oldest_value = ring()[first_].value;
        cutils::Result<T> received(std::move(oldest_value));
        oldest_value.~T();
        drop_first();
        return received;
    }
    // Inlined, too: each return after a switch is one more that the processor predicts wrongly.
    [[gnu::always_inline]] inline cutils::Result<T> take_or_wait(Deadline deadline) {
        Room room;
        void* place = &room;
        if (const std::error_code error = place_to_recv(place, deadline)) [[unlikely]]
            return error;
        return take_from(place, room);
    }
    [[gnu::always_inline]] inline cutils::Result<T> take_from(void* place, Room& room) {
        cutils::Result<T> received(std::move(value_at(place)));
        if (place == &room)
            room.value.~T();  // and *this may be gone
        else if (capacity_ > 0)
            leave_buffer(place);
        return received;
    }

    // Gives the value to a receiver, or the buffer; false: neither is to be had.
    bool put(T& value) {
        void* const place = place_to_send();
        if (place == nullptr) return false;
        ::new (place) T(std::move(value));
        return true;
    }
    // Moves whatever can be had without waiting into `room`; false: nothing.
    bool take_into(Room& room) {
        void* const place = place_to_recv();
        if (place == nullptr) return false;
        ::new (&room.value) T(std::move(value_at(place)));
        if (capacity_ > 0) leave_buffer(place);
        return true;
    }
    // The oldest value has been moved from.
    [[gnu::noinline]] void leave_buffer(void* place) {
        value_at(place).~T();
        if (void* const next = oldest_is_gone(place)) ::new (place) T(std::move(value_at(next)));
    }
};

template <class T>
cutils::Result<T> Channel<T>::try_recv() {
    check_thread();
    Room room;
    if (!take_into(room)) return recv_obstacle();
    return take_from(&room, room);
}

}  // namespace evcorothread
