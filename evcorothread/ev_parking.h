// EvParking: connections between requests. A parked one is a descriptor, a deadline and an object of yours;
// it holds no coroutine and no stack. The stack pool limits work in progress, not clients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "cutils/export.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"

namespace evcorothread {

// Usage:
//
//   class Client final : public EvParking::Guest {
//       EvParking::Next serve() override {            // in a coroutine thread: something has arrived
//           char buffer[4096];
//           auto got = socket().recv(buffer, 3s);
//           if (!got || !socket().send_all({buffer, got.bytes}, 3s)) return Next::close();
//           return Next::park(30s);                    // the stack goes back
//       }
//     public:
//       using Guest::Guest;
//   };
//   EvParking parking(loop, "client");
//   auto acceptor = EvTcpAcceptor::listen_raw(loop, address, [&](UniqueFd fd, const SockAddr&) {
//       parking.adopt(std::make_unique<Client>(EvSocket(loop, std::move(fd))), 30s);
//   }).value();
//
// Owner:  whoever holds it; owns its guests. Destroy it when none is being served (see drain, shutdown).
// Thread: the loop's. Parked guests are work: EvLoop::run goes on while there are some.
// Cost:   parking a store or two, and no syscall; about 300 bytes a connection, your members not counted.
class EVC_API EvParking {
  public:
    // What is to become of a connection when serve() has returned.
    class Next {
      public:
        // Keep it until something arrives, or the deadline passes: then Guest::expired() is called and it is
        // closed.
        static Next park(Deadline idle) { return Next(idle, Kind::park); }
        // The same in the middle of something, half a request say: it holds no stack either, but does not
        // count as parked, and neither close_parked() nor drain() closes it.
        static Next wait(Deadline until) { return Next(until, Kind::wait); }
        // The same until the kernel takes more of an answer; what arrives meanwhile has to wait.
        static Next wait_writable(Deadline until) { return Next(until, Kind::wait_writable); }
        // The same until Guest::wake(). What arrives meanwhile has to wait, unless disturbed() says
        // otherwise.
        static Next wait_woken(Deadline until) { return Next(until, Kind::wait_woken); }
        static Next close() { return Next(Deadline::never, Kind::close); }

      private:
        friend class EvParking;
        enum class Kind : std::uint8_t { park, wait, wait_writable, wait_woken, close };
        Next(Deadline until, Kind kind) : until_(until), kind_(kind) {}
        Deadline until_;
        Kind kind_;
    };

    // One connection. Derive from it; members live as long as the connection.
    class EVC_API Guest {
      public:
        explicit Guest(EvSocket socket);
        Guest(const Guest&) = delete;
        Guest& operator=(const Guest&) = delete;
        virtual ~Guest();

      protected:
        // Called in a coroutine thread when the socket may be read (data, the end of the stream, or an
        // error), or, after wait_writable(), when there is room, or, after wait_woken(), after wake(). An
        // exception is logged and closes the connection.
        virtual Next serve() = 0;
        // Called on the loop when the deadline has passed. True: serve() is called once more, to say so to
        // the client; false: it is closed. Must not wait.
        virtual bool expired() { return false; }
        // Called on the loop when something has arrived and all stacks are in use. Nothing: it waits for its
        // turn. Otherwise what becomes of it now. Must not wait.
        virtual std::optional<Next> without_stack() { return {}; }
        // Called on the loop when something has arrived during wait_woken(), the client's end perhaps. True:
        // serve() is called for it. Must not wait.
        virtual bool disturbed() noexcept { return false; }
        // Ends wait_woken(), or the next one when it has not begun yet; serve() may be called once more for
        // nothing. Never suspends.
        void wake();
        [[nodiscard]] EvSocket& socket() { return socket_; }
        // How long it has waited for a stack before this call of serve(); asked again, 0.
        [[nodiscard]] Duration take_wait() { return std::exchange(waited_, Duration{}); }

      private:
        friend class EvParking;
        struct Bay;
        EvSocket socket_;
        std::unique_ptr<Bay> bay_;
        Duration waited_{};
    };

    // `name` is what the coroutines that serve are called.
    explicit EvParking(EvLoop& loop, std::string_view name = "guest");
    EvParking(const EvParking&) = delete;
    EvParking& operator=(const EvParking&) = delete;
    ~EvParking();

    // Takes a connection in, parked. Errors: of epoll_ctl(2); std::bad_alloc. Then the connection is closed.
    std::error_code adopt(std::unique_ptr<Guest> guest, Deadline idle);

    // How many there are; of those, how many are parked, wait in the middle of something, wait for a stack,
    // are being served.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t parked() const;
    [[nodiscard]] std::size_t in_between() const;
    [[nodiscard]] std::size_t waiting() const;
    [[nodiscard]] std::size_t active() const;

    // Closes the one that has been parked longest, of those for which nothing has arrived, heard of or not.
    // False: there is none. Cost: a recv(2); looks past those that are being served.
    bool close_oldest();
    // For close_oldest(): from now on it is known who has been parked longest. Cost: a few stores a parking.
    void keep_order();
    // Closes all that are parked now. Those for which something has arrived, heard of or not, are still
    // served. Cost: a recv(2) each.
    void close_parked();
    // From now on what would be parked is closed instead; those parked now are closed, as above.
    void drain();
    // Asks all that are being served to stop (EvThread::cancel); closes those that wait in between.
    void cancel_active();
    // Drains, asks all that are being served to stop, and runs the loop, also an adopted one, until the last
    // guest has gone: until shielded waits have ended, too. Says in the log, once, how many take longer than
    // five seconds. Before: on the loop's thread, outside its coroutines and callbacks.
    void shutdown();
    // Called on the loop whenever a guest has gone; for those who wait until the last one has.
    void on_gone(std::function<void()> function);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
