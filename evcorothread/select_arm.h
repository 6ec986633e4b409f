// SelectArm: one of the things that a select waits for; see select.h, which is what to include.
#pragma once

#include <concepts>
#include <cstddef>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/channel.h"

namespace evcorothread {

class EvSocket;
struct FdWatch;

// One of the things a select waits for: from Channel::on_recv and on_send, SharedChannel's, too,
// Subscriber::on_recv, on_time, on_readable, on_writable. Usually a temporary in the call; a named one may be
// used in one select after another, also with others and in other places.
//
// Owner: the selecting coroutine. Must outlive the call; so must what it refers to, but for channels and
//        sockets that go while it waits: that is `closed`.
class EVC_API SelectArm {
  public:
    SelectArm(const SelectArm&) = delete;
    SelectArm& operator=(const SelectArm&) = delete;

    // For the classes of this folder. What select asks of an arm, in this order; only handle() runs code of
    // the application.

    virtual void begin() {}    // once a select
    virtual bool ready() = 0;  // would happen() do it now? An arm that can only fail is ready, too
    virtual std::error_code happen() = 0;                   // does it. Before: ready()
    virtual std::error_code wait_at(WaitPoint& point) = 0;  // whoever makes it ready wakes the point
    virtual void leave() = 0;                               // nobody will
    // Did whoever woke the point also do the arm's work?
    virtual bool happened(std::error_code&) { return false; }
    virtual TimePoint due() const { return TimePoint::max(); }  // when it is ready by itself
    virtual void handle(const std::error_code& error) = 0;      // calls the arm's function
    virtual std::string what() const = 0;  // for people who look inside; only between wait_at() and leave()

    // What other OS threads may make ready: where that is in memory; null for all others. Such an arm may
    // leave() where it never waited.
    [[nodiscard]] const void* shared() const { return shared_; }

  protected:
    explicit SelectArm(const void* shared = nullptr) : shared_(shared) {}
    ~SelectArm() = default;

  private:
    const void* const shared_;
};

// An arm at a channel, whatever goes through it.
class EVC_API ChannelArm : public SelectArm {
  public:
    void begin() override { waiter_.met = ChannelWaiter::Met::nobody; }
    bool ready() override;
    std::error_code wait_at(WaitPoint& point) override;
    void leave() override { waiter_.unlink(); }
    std::string what() const override;
    bool happened(std::error_code& error) override;

  protected:
    enum class Side : bool { recv, send };
    ChannelArm(ChannelCore& channel, Side side, void* place) : channel_(channel), side_(side) {
        waiter_.place = place;
    }

    ~ChannelArm() = default;
    void set_place(void* place) { waiter_.place = place; }
    // Did the channel die while this select waited? Then it is not to be touched, and that is `closed`.
    [[nodiscard]] bool gone() const { return waiter_.met == ChannelWaiter::Met::gone; }

    ChannelCore& channel_;

  private:
    ChannelWaiter waiter_;
    const Side side_;
};

// What an arm does with the value that it has received into its room. Base: an arm at some kind of channel.
template <class Base, class T, class Room, class F>
class ReceivingArm : public Base {
    static constexpr bool kTakesResult =
        std::invocable<F&, cutils::Result<T>> && !std::convertible_to<cutils::Result<T>, T>;
    static_assert(kTakesResult || std::invocable<F&, T> || std::invocable<F&>,
                  "on_recv needs a function that takes the value, a Result of it, or nothing");

  public:
    void handle(const std::error_code& error) final {
        if constexpr (kTakesResult) {
            function_(error ? failure(error) : received());
        } else if (error) {
            if constexpr (!std::invocable<F&, T>) function_();
        } else {
            T value = take();
            if constexpr (std::invocable<F&, T>)
                function_(std::move(value));
            else
                function_();
        }
    }

  protected:
    template <class Channel>
    ReceivingArm(Channel& channel, F function)
        : Base(channel, Base::Side::recv, &room_), function_(std::move(function)) {}
    ~ReceivingArm() = default;

    Room room_;

  private:
    T take() {
        T value(std::move(room_.value));
        room_.value.~T();
        return value;
    }
    // Out of line: what it makes of them inlined, g++ 12 warns of.
    [[gnu::noinline]] cutils::Result<T> received() { return take(); }
    [[gnu::noinline]] static cutils::Result<T> failure(const std::error_code& error) { return error; }

    F function_;
};

// Calls a function that may want to know the error, or need not be called when there is one.
template <class F>
void call_arm_function(F& function, const std::error_code& error) {
    if constexpr (std::invocable<F&, std::error_code>) {
        function(error);
    } else {
        static_assert(std::invocable<F&>, "this arm's function takes a std::error_code or nothing");
        if (!error) function();
    }
}

// An arm with a value to send; Value: T, or where it is.
template <class Base, class T, class Value, class F>
class SendingArm : public Base {
  public:
    void handle(const std::error_code& error) final { call_arm_function(function_, error); }

  protected:
    template <class Channel>
    SendingArm(Channel& channel, const Value& value, F function)
        : Base(channel, Base::Side::send, nullptr), value_(value), function_(std::move(function)) {
        this->set_place(&place());
    }
    ~SendingArm() = default;

    T& place() {
        if constexpr (std::is_same_v<Value, T>)
            return value_;
        else
            return *value_;
    }

  private:
    Value value_;
    F function_;
};

// From Channel::on_recv.
template <class T, class F>
class RecvArm final : public ReceivingArm<ChannelArm, T, typename Channel<T>::Room, F> {
  public:
    RecvArm(Channel<T>& channel, F function) : RecvArm::ReceivingArm(channel, std::move(function)) {}

    std::error_code happen() override {
        if (this->gone()) return NetError::closed;
        auto& channel = static_cast<Channel<T>&>(this->channel_);
        return channel.take_into(this->room_) ? std::error_code() : channel.recv_obstacle();
    }
};

// From Channel::on_send.
template <class T, class Value, class F>
class SendArm final : public SendingArm<ChannelArm, T, Value, F> {
  public:
    SendArm(Channel<T>& channel, const Value& value, F function)
        : SendArm::SendingArm(channel, value, std::move(function)) {}

    std::error_code happen() override {
        if (this->gone()) return NetError::closed;
        auto& channel = static_cast<Channel<T>&>(this->channel_);
        return channel.put(this->place()) ? std::error_code() : channel.send_obstacle();
    }
};

// A time: ready by itself.
class EVC_API TimeArmCore : public SelectArm {
  public:
    void begin() override;
    bool ready() override;
    std::error_code happen() override { return {}; }
    std::error_code wait_at(WaitPoint&) override { return {}; }
    void leave() override {}
    TimePoint due() const override { return due_; }
    std::string what() const override { return "time"; }

  protected:
    explicit TimeArmCore(Deadline when) : when_(when) {}
    ~TimeArmCore() = default;

  private:
    const Deadline when_;
    TimePoint due_ = TimePoint::max();
};

// A socket of ours: looks at what the loop knows of it.
class EVC_API SocketArmCore : public SelectArm {
  public:
    void begin() override;
    bool ready() override;
    std::error_code happen() override { return error_; }
    std::error_code wait_at(WaitPoint& point) override;
    void leave() override;
    std::string what() const override;

  protected:
    explicit SocketArmCore(EvSocket& socket) : socket_(socket) {}
    ~SocketArmCore() = default;

  private:
    EvSocket& socket_;
    FdWatch* watch_ = nullptr;  // null once the socket has been closed
    std::error_code error_;
};

// A descriptor of somebody else's: asks the kernel.
class EVC_API DescriptorArmCore : public SelectArm {
  public:
    static constexpr short kReadable = 1;
    static constexpr short kWritable = 2;

    bool ready() override;
    std::error_code happen() override { return error_; }
    std::error_code wait_at(WaitPoint& point) override;
    void leave() override;
    std::string what() const override;

  protected:
    DescriptorArmCore(int fd, short what) : fd_(fd), what_(what) {}
    ~DescriptorArmCore() = default;

  private:
    const int fd_;
    const short what_;
    std::error_code error_;
    alignas(16) unsigned char event_[128];  // libevent's
};

// From on_time, on_readable, on_writable.
template <class Core, class F>
class CallingArm final : public Core {
  public:
    template <class... Arguments>
    CallingArm(F function, Arguments&&... arguments)
        : Core(std::forward<Arguments>(arguments)...), function_(std::move(function)) {}
    void handle(const std::error_code& error) override { call_arm_function(function_, error); }

  private:
    F function_;
};

template <class F>
using TimeArm = CallingArm<TimeArmCore, F>;
template <class F>
using SocketArm = CallingArm<SocketArmCore, F>;
template <class F>
using DescriptorArm = CallingArm<DescriptorArmCore, F>;

}  // namespace evcorothread
