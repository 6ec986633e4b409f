// What belongs to a loop, used on another OS thread, ends the process with a line that says so: every public
// class, outside a coroutine and in a coroutine of another loop.
#include <signal.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "evcorothread/broadcast.h"
#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/child_process.h"
#include "evcorothread/condition.h"
#include "evcorothread/copy_stream.h"
#include "evcorothread/coroutine_local.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/ev_udp_socket.h"
#include "evcorothread/event.h"
#include "evcorothread/fork_child.h"
#include "evcorothread/happy_eyeballs.h"
#include "evcorothread/mutex.h"
#include "evcorothread/select.h"
#include "evcorothread/semaphore.h"
#include "evcorothread/signal_queue.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/wait_group.h"
#include "nutils/pipe_ops.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

namespace {

struct SilentGuest final : EvParking::Guest {
    using Guest::Guest;
    EvParking::Next serve() override { return EvParking::Next::close(); }
};

// Runs `f` in a coroutine of a loop of its own.
void in_another_loop(const std::function<void()>& f) {
    StackPool pool({.count = 2});
    EvLoop other(pool, any_order());
    other.spawn("stranger", f);
    other.run();
}

}  // namespace

TEST_GROUP_BASE(WrongThread, LoopFixture) {
    std::string wrong;

    // The lines differ a little; each names what is wrong.
    static bool says(const std::string& heard, const char* said) {
        if (said != nullptr) return heard.find(said) != std::string::npos;
        for (const char* line : {"used on another OS thread", "used on two OS threads", "of another loop"})
            if (heard.find(line) != std::string::npos) return true;
        return false;
    }
    // `offence` on another OS thread must end the process with a line that has `said` in it.
    void must_abort(const char* what, const std::function<void()>& offence, const char* said = nullptr) {
        const std::string heard = abort_message([&] { std::thread(offence).join(); });
        if (!says(heard, said)) wrong += std::string(what) + ": " + heard + "\n";
    }
    // The same in a coroutine of another loop.
    void must_abort_there(const char* what, const std::function<void()>& offence,
                          const char* said = nullptr) {
        must_abort(
            what, [&] { in_another_loop(offence); }, said);
    }
    // Somebody who waits for ever, in whatever way.
    template <class F>
    EvThread park(F wait) {
        EvThread waiter = go(std::move(wait));
        run_ready();
        return waiter;
    }
    void end(EvThread & waiter) {
        waiter.cancel();
        run_loop();
        CHECK_EQUAL("", wrong);
    }
};

TEST(WrongThread, OfTheLoop) {
    EvThread waiter = park([] { (void)this_evthread::delay(Deadline::never); });  // or it may still move
    must_abort("spawn", [&] { loop.spawn([] {}); });
    must_abort("try_spawn", [&] { (void)loop.try_spawn("x", [] {}); });
    must_abort("Hold", [&] { const EvLoop::Hold hold(loop); });
    must_abort("advance", [&] { loop.advance(1s); });
    must_abort("run", [&] { loop.run(); });
    must_abort("shutdown", [&] { (void)loop.shutdown(1s); });
    must_abort("fork_child", [&] { (void)process::fork_child(loop, [] { return 0; }); });
    end(waiter);
}

TEST(WrongThread, OfCoroutines) {
    EvThread waiter = park([] { (void)this_evthread::delay(Deadline::never); });
    must_abort("cancel", [&] { waiter.cancel(); });
    must_abort_there("join", [&] { (void)waiter.join(1s); });
    end(waiter);
}

TEST(WrongThread, OfABundle) {
    Bundle children(loop);
    children.go([] { (void)this_evthread::delay(Deadline::never); });
    run_ready();
    must_abort("go", [&] { children.go([] {}); });
    must_abort("cancel", [&] { children.cancel(); });
    must_abort_there("wait", [&] { (void)children.wait(1s); });
    must_abort_there("wait_any", [&] { (void)children.wait_any(1s); });
    must_abort_there("close", [&] { (void)children.close(1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfSockets) {
    Connection connection = unix_connection(loop);
    char byte;
    must_abort("EvSocket", [&] { EvSocket(loop, UniqueFd(::dup(0))); });
    must_abort_there("recv", [&] { (void)connection.socket.recv({&byte, 1}, 1s); });
    must_abort_there("send", [&] {
        fill(connection.socket);
        (void)connection.socket.send("x", 1s);
    });
    must_abort_there("connect", [&] { (void)EvSocket::connect(loop, SockAddr::loopback(9), 1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfDatagramSockets) {
    EvUdpSocket socket = EvUdpSocket::bind(loop, SockAddr::loopback(0)).value();
    char byte;
    SockAddr from;
    must_abort("bind", [&] { (void)EvUdpSocket::bind(loop, SockAddr::loopback(0)); });
    must_abort_there("recv_from", [&] { (void)socket.recv_from({&byte, 1}, from, 1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfPipes) {
    nutils::PipeEnds ends = nutils::make_pipe().value();
    EvPipe pipe(loop, std::move(ends.reading));
    char byte;
    must_abort("EvPipe", [&] { EvPipe(loop, std::move(ends.writing)); });
    must_abort_there("recv", [&] { (void)pipe.recv({&byte, 1}, 1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfCopying) {
    Connection a = unix_connection(loop), b = unix_connection(loop);
    must_abort_there("copy_stream", [&] { (void)copy_stream(a.socket, b.socket, 1s); });
    must_abort_there("relay", [&] { (void)relay(a.socket, b.socket, 1s); });
    const SockAddr address = SockAddr::loopback(9);
    must_abort_there("connect_any", [&] { (void)connect_any(loop, {&address, 1}, {}, 1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfAnAcceptor) {
    EvTcpAcceptor acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [](EvSocket) {}).value();
    must_abort("listen", [&] { (void)EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [](EvSocket) {}); });
    must_abort("pause", [&] { acceptor.pause(); });
    must_abort("resume", [&] { acceptor.resume(); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfParking) {
    EvParking parking(loop);
    Connection connection = unix_connection(loop);
    CHECK(!parking.adopt(std::make_unique<SilentGuest>(std::move(connection.socket)), Deadline::never));
    must_abort("adopt", [&] { (void)parking.adopt(std::make_unique<SilentGuest>(EvSocket()), 1s); });
    CHECK_EQUAL("", wrong);
}

// A loop that does not run may be taken down by whoever is last; one that runs may not.
TEST(WrongThread, OfWhatClosesWhileTheLoopRuns) {
    Connection connection = unix_connection(loop);
    EvUdpSocket socket = EvUdpSocket::bind(loop, SockAddr::loopback(0)).value();
    EvTcpAcceptor acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [](EvSocket) {}).value();
    EvParking parking(loop);
    EvTimer timer(loop, [] {});
    char byte;
    SockAddr from;
    const auto end_of_parking = [&](void (EvParking::*how)()) {
        return [&parking, how] { (parking.*how)(); };
    };
    EvThread reader = park([&] { (void)connection.socket.recv({&byte, 1}, Deadline::never); });
    EvThread listener = park([&] { (void)socket.recv_from({&byte, 1}, from, Deadline::never); });
    loop.post([&] {
        timer.start(1h);
        must_abort("EvSocket::close", [&] { connection.socket.close(); });
        must_abort("EvUdpSocket::close", [&] { socket.close(); });
        must_abort("EvTcpAcceptor::close", [&] { acceptor.close(); });
        must_abort("EvTimer::stop", [&] { timer.stop(); });
        must_abort("EvParking::close_parked", end_of_parking(&EvParking::close_parked));
        must_abort("EvParking::drain", end_of_parking(&EvParking::drain));
        must_abort("EvParking::cancel_active", end_of_parking(&EvParking::cancel_active));
        timer.stop();
    });
    run_ready();
    acceptor.close();
    listener.cancel();
    end(reader);
}

TEST(WrongThread, OfTimersAndSignals) {
    EvTimer timer(loop, [] {});
    must_abort("EvTimer::start", [&] { timer.start(1s); });
    must_abort("SignalWatch", [&] { SignalWatch(loop, {SIGUSR2}, [](int) {}); });
    must_abort("SignalQueue", [&] { SignalQueue(loop, {SIGUSR2}); });
    SignalQueue signals(loop, {SIGUSR2});
    must_abort_there("SignalQueue::wait", [&] { (void)signals.wait(1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfChildProcesses) {
    using process::ChildProcess;
    must_abort("spawn", [&] { (void)ChildProcess::spawn(loop, {"true"}); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfChannels) {
    Channel<int> channel;
    EvThread waiter = park([&] { (void)channel.recv(Deadline::never); });
    must_abort("try_send", [&] { (void)channel.try_send(1); });
    must_abort("try_recv", [&] { (void)channel.try_recv(); });
    must_abort("close", [&] { channel.close(); });
    must_abort_there("send", [&] { (void)channel.send(1, 1s); });
    must_abort_there("recv", [&] { (void)channel.recv(1s); });
    must_abort_there("select", [&] { (void)select(channel.on_recv([](int) {}), 1s); });
    end(waiter);
}

TEST(WrongThread, OfABroadcast) {
    Broadcast<int> source;
    Subscriber<int> subscriber(source, {.capacity = 1, .slow = SlowSubscriber::wait});
    must_abort("try_publish", [&] { (void)source.try_publish(1); });
    must_abort("try_recv", [&] { (void)subscriber.try_recv(); });
    must_abort("Subscriber", [&] { Subscriber<int>(source, {.capacity = 1, .slow = SlowSubscriber::wait}); });
    must_abort_there("publish", [&] { (void)source.publish(1, 1s); });
    must_abort_there("recv", [&] { (void)subscriber.recv(1s); });
    CHECK_EQUAL("", wrong);
}

TEST(WrongThread, OfAMutexAndACondition) {
    Mutex mutex;
    Condition condition;
    EvThread holder = park([&] {
        CHECK(!mutex.lock(Deadline::never));
        (void)this_evthread::delay(Deadline::never);
        mutex.unlock();
    });
    must_abort_there(
        "lock", [&] { (void)mutex.lock(1s); }, "evcorothread/");
    must_abort_there(
        "unlock", [&] { mutex.unlock(); }, "evcorothread/");
    holder.cancel();
    run_loop();
    EvThread waiter = park([&] {
        CHECK(!mutex.lock(Deadline::never));
        (void)condition.wait(mutex, Deadline::never);
        mutex.unlock();
    });
    must_abort("notify_one", [&] { condition.notify_one(); });
    must_abort("notify_all", [&] { condition.notify_all(); });
    end(waiter);
}

TEST(WrongThread, OfASemaphore) {
    Semaphore semaphore(0);
    EvThread waiter = park([&] { (void)semaphore.acquire(Deadline::never); });
    must_abort("release", [&] { semaphore.release(); });
    must_abort_there(
        "acquire", [&] { (void)semaphore.acquire(1s); }, "evcorothread/");
    end(waiter);
}

TEST(WrongThread, OfAnEvent) {
    evcorothread::Event event;
    EvThread waiter = park([&] { (void)event.wait(Deadline::never); });
    must_abort("set", [&] { event.set(); });
    must_abort_there(
        "wait", [&] { (void)event.wait(1s); }, "evcorothread/");
    end(waiter);
}

TEST(WrongThread, OfAWaitGroup) {
    WaitGroup group;
    group.add();
    EvThread waiter = park([&] { (void)group.wait(Deadline::never); });
    must_abort("done", [&] { group.done(); });
    must_abort_there(
        "wait", [&] { (void)group.wait(1s); }, "evcorothread/");
    end(waiter);
}
