// Two things that end a wait arrive in the same loop pass, in either order: one of them is the result, and
// nothing of the other is lost. Real time: the timer and the socket come out of one epoll_wait(2).
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

namespace {

class SamePassFixture : public RealTimeFixture {
  public:
    using Action = std::function<void()>;

    std::optional<Connection> connection{unix_connection(loop)};
    EvSocket& socket() { return connection->socket; }
    UniqueFd& peer() { return connection->peer; }
    EvThread waiter;
    std::optional<IoResult> result;
    char byte = 0;
    TimePoint deadline{};

    // What can end a wait. Each only takes effect in the next pass.
    Action data = [this] { connection->peer_sends("x"); };
    Action room = [this] { CHECK(drain(peer().get()) > 0); };
    Action timeout = [this] { spin_until(deadline); };
    Action cancel = [this] { loop.post([this] { waiter.cancel(); }); };
    Action close = [this] { loop.post([this] { socket().close(); }); };
    Action destroy = [this] { loop.post([this] { socket() = EvSocket(); }); };
    Action eof = [this] { peer().reset(); };

    // A coroutine waits in recv() until `first` and then `second` come.
    void recv_meets(const Action& first, const Action& second) {
        meet([this] { return socket().recv({&byte, 1}, deadline); }, first, second);
    }
    void send_meets(const Action& first, const Action& second) {
        fill(socket());
        meet([this] { return socket().send("y", deadline); }, first, second);
    }
    bool data_arrived() const { return result->bytes == 1 && byte == 'x'; }
    // Data that was not the result is still there.
    void check_not_lost() {
        if (data_arrived()) return;
        CHECK_EQUAL(0, result->bytes);
        CHECK_EQUAL(1, socket().try_recv({&byte, 1}).bytes);
        CHECK_EQUAL('x', byte);
    }
    // A socket that is not closed goes on working, whatever ended the wait.
    void check_usable() {
        std::string got;
        drain(peer().get());
        connection->peer_sends("z");
        EvThread next = go([&] {
            got = received(socket(), 5s);
            CHECK(socket().send_all("w", 5s));
        });
        until([&] { return next.finished(); });
        CHECK_EQUAL("z", got);
    }

  private:
    void meet(const std::function<IoResult()>& wait, const Action& first, const Action& second) {
        deadline = cutils::monotonic_now() + patience(20ms);
        waiter = go([this, wait] {
            const IoResult got = wait();
            result = got;
        });
        run_ready();
        if (result) FAIL("it did not wait");
        first();
        second();
        until([&] { return result.has_value(); });
    }
};

}  // namespace

// --- receiving ---

TEST_GROUP_BASE(SamePassRecv, SamePassFixture){};

TEST(SamePassRecv, DataThenTimeout) {
    recv_meets(data, timeout);
    CHECK(data_arrived() || result->timed_out());
    check_not_lost();
    check_usable();
}

TEST(SamePassRecv, TimeoutThenData) {
    recv_meets(timeout, data);
    CHECK(data_arrived() || result->timed_out());
    check_not_lost();
    check_usable();
}

TEST(SamePassRecv, DataThenCancel) {
    recv_meets(data, cancel);
    CHECK(data_arrived() || result->canceled());
    check_not_lost();
    check_usable();
}

TEST(SamePassRecv, CancelThenData) {
    recv_meets(cancel, data);
    CHECK(data_arrived() || result->canceled());
    check_not_lost();
    check_usable();
}

TEST(SamePassRecv, DataThenClose) {
    recv_meets(data, close);
    CHECK(result->closed());
}

TEST(SamePassRecv, CloseThenData) {
    recv_meets(close, data);
    CHECK(result->closed());
}

TEST(SamePassRecv, TimeoutThenCancel) {
    recv_meets(timeout, cancel);
    CHECK(result->timed_out() || result->canceled());
    check_usable();
}

TEST(SamePassRecv, CancelThenTimeout) {
    recv_meets(cancel, timeout);
    CHECK(result->timed_out() || result->canceled());
    check_usable();
}

TEST(SamePassRecv, TimeoutThenClose) {
    recv_meets(timeout, close);
    CHECK(result->closed());
}

TEST(SamePassRecv, CloseThenTimeout) {
    recv_meets(close, timeout);
    CHECK(result->closed());
}

TEST(SamePassRecv, CancelThenClose) {
    recv_meets(cancel, close);
    CHECK(result->closed() || result->canceled());
}

TEST(SamePassRecv, CloseThenCancel) {
    recv_meets(close, cancel);
    CHECK(result->closed() || result->canceled());
}

TEST(SamePassRecv, DataThenDestruction) {
    recv_meets(data, destroy);
    CHECK(result->closed());
}

TEST(SamePassRecv, DestructionThenData) {
    recv_meets(destroy, data);
    CHECK(result->closed());
}

TEST(SamePassRecv, TimeoutThenDestruction) {
    recv_meets(timeout, destroy);
    CHECK(result->closed());
}

TEST(SamePassRecv, DestructionThenCancel) {
    recv_meets(destroy, cancel);
    CHECK(result->closed() || result->canceled());
}

TEST(SamePassRecv, DataThenEof) {
    recv_meets(data, eof);
    CHECK(data_arrived());
    CHECK(socket().try_recv({&byte, 1}).eof());
}

TEST_IN_ORDER(SamePassRecv, EofThenClose) {
    recv_meets(eof, close);
    CHECK(result->closed());
}

// --- sending ---

TEST_GROUP_BASE(SamePassSend, SamePassFixture){bool sent() const {return result->bytes == 1 && !result->error;
}
}
;

TEST(SamePassSend, RoomThenTimeout) {
    send_meets(room, timeout);
    CHECK(sent() || result->timed_out());
    check_usable();
}

TEST(SamePassSend, TimeoutThenRoom) {
    send_meets(timeout, room);
    CHECK(sent() || result->timed_out());
    check_usable();
}

TEST(SamePassSend, RoomThenCancel) {
    send_meets(room, cancel);
    CHECK(sent() || result->canceled());
    check_usable();
}

TEST(SamePassSend, CancelThenRoom) {
    send_meets(cancel, room);
    CHECK(sent() || result->canceled());
    check_usable();
}

TEST(SamePassSend, RoomThenClose) {
    send_meets(room, close);
    CHECK(result->closed());
}

TEST(SamePassSend, CloseThenRoom) {
    send_meets(close, room);
    CHECK(result->closed());
}

TEST(SamePassSend, TimeoutThenCancel) {
    send_meets(timeout, cancel);
    CHECK(result->timed_out() || result->canceled());
    check_usable();
}

TEST(SamePassSend, CancelThenTimeout) {
    send_meets(cancel, timeout);
    CHECK(result->timed_out() || result->canceled());
    check_usable();
}

TEST(SamePassSend, TimeoutThenClose) {
    send_meets(timeout, close);
    CHECK(result->closed());
}

TEST(SamePassSend, CloseThenTimeout) {
    send_meets(close, timeout);
    CHECK(result->closed());
}

TEST(SamePassSend, CancelThenClose) {
    send_meets(cancel, close);
    CHECK(result->closed() || result->canceled());
}

TEST(SamePassSend, CloseThenCancel) {
    send_meets(close, cancel);
    CHECK(result->closed() || result->canceled());
}

TEST(SamePassSend, RoomThenDestruction) {
    send_meets(room, destroy);
    CHECK(result->closed());
}

TEST(SamePassSend, DestructionThenTimeout) {
    send_meets(destroy, timeout);
    CHECK(result->closed());
}

TEST(SamePassSend, PeerGoneThenTimeout) {
    send_meets(eof, timeout);
    CHECK(!sent());
    CHECK(result->timed_out() || result->error == std::errc::broken_pipe ||
          result->error == std::errc::connection_reset);
}
