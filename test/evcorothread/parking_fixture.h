// ParkingFixture: guests whose behaviour is the test's, and their peers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evcorothread/ev_parking.h"
#include "test/evcorothread/loop_fixture.h"

namespace test_support {

using Next = EvParking::Next;

// A guest whose behaviour is the test's.
class Guest final : public EvParking::Guest {
  public:
    using Serve = std::function<Next(EvSocket&)>;
    Guest(EvSocket socket, Serve serve, std::function<void()> expired = {})
        : EvParking::Guest(std::move(socket)), serve_(std::move(serve)), expired_(std::move(expired)) {}

  private:
    Next serve() override { return serve_(socket()); }
    bool expired() override {
        if (expired_) expired_();
        return false;
    }
    Serve serve_;
    std::function<void()> expired_;
};

class ParkingFixture : public LoopFixture {
  public:
    explicit ParkingFixture(std::size_t count = 2) : LoopFixture(LoopClock::virtual_time, count) {}

    std::optional<EvParking> parking;
    std::vector<UniqueFd> peers;
    int served = 0;
    int expired = 0;
    int gone = 0;
    Duration idle = 30s;

    void setup() override {
        parking.emplace(loop, "guest");
        parking->on_gone([this] { ++gone; });
    }
    void teardown() override {
        parking->cancel_active();
        parking->drain();
        peers.clear();
        (void)loop.shutdown(1s);
        parking.reset();
        LoopFixture::teardown();
    }

    // A guest, at peers.back().
    std::error_code adopt(Guest::Serve serve, Deadline until = Deadline::never) {
        Connection connection = unix_connection(loop);
        peers.push_back(std::move(connection.peer));
        return parking->adopt(
            std::make_unique<Guest>(std::move(connection.socket), std::move(serve), [this] { ++expired; }),
            until);
    }
    // One that answers with what it got.
    Guest::Serve echo() {
        return [this](EvSocket& socket) {
            ++served;
            char buffer[64];
            const IoResult got = socket.recv(buffer, 3s);
            if (!got || !socket.send_all({buffer, got.bytes}, 3s)) return Next::close();
            return Next::park(idle);
        };
    }
    void send(std::size_t peer, std::string_view text) const {
        CHECK_EQUAL(text.size(), nutils::send_some(peers.at(peer).get(), text).bytes);
    }
    std::string reply(std::size_t peer) const {
        char buffer[64];
        const IoResult got = nutils::recv_some(peers.at(peer).get(), buffer);
        return got.eof() ? "<end>" : std::string(buffer, got.bytes);
    }
};

}  // namespace test_support
