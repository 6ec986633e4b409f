// Parked connections: many clients, few at a time with anything to say, and guests that keep changing their
// mind.
#include <array>
#include <optional>

#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "test/soak/peers.h"

namespace soak {
namespace {

using namespace evcorothread;
using nutils::SockAddr;

// Echoes what is there, then parks; sometimes in the middle of something; sometimes without a stack for what
// the client does not take.
class Guest final : public EvParking::Guest {
  public:
    Guest(EvSocket socket, std::uint64_t seed, std::size_t& alive)
        : EvParking::Guest(std::move(socket)), here_(alive), dice_(seed) {}

  private:
    EvParking::Next serve() override {
        if (told_) return EvParking::Next::close();  // the deadline has passed
        for (int i = 0; i < 20; ++i) {
            if (!unsent_.empty()) {
                const auto sent = socket().try_send(unsent_);
                unsent_.erase(0, sent.bytes);
                if (sent.would_block()) return EvParking::Next::wait_writable(300ms);
                if (sent.error) return EvParking::Next::close();
                continue;
            }
            std::array<char, 4096> buffer;
            const auto got = dice_.one_in(3) ? socket().recv(buffer, 5ms) : socket().try_recv(buffer);
            if (got.would_block() || got.timed_out()) break;
            if (got.error) return EvParking::Next::close();
            unsent_.assign(buffer.data(), got.bytes);
        }
        if (!unsent_.empty()) return EvParking::Next::wait_writable(300ms);
        return dice_.one_in(2) ? EvParking::Next::park(300ms) : EvParking::Next::wait(300ms);
    }
    bool expired() override { return told_ = dice_.one_in(2); }
    std::optional<EvParking::Next> without_stack() override {
        if (dice_.one_in(10)) return EvParking::Next::close();
        return {};
    }

    Here here_;
    Dice dice_;
    std::string unsent_;
    bool told_ = false;
};

class Parking final : public Feature {
  public:
    Parking() : Feature("parking") {}

    void run(Round& round) override {
        std::size_t guests = 0;
        EvParking parking(round.loop);
        parking.keep_order();
        auto acceptor = EvTcpAcceptor::listen_raw(
            round.loop, SockAddr::loopback(0), [&](nutils::UniqueFd fd, const SockAddr&) {
                (void)parking.adopt(
                    std::make_unique<Guest>(EvSocket(round.loop, std::move(fd)), round.dice.seed(), guests),
                    300ms);
            });
        if (!acceptor) return complain("those who park cannot listen");
        crowd(round, "parking client", 16, [&](Dice& dice) {
            auto socket = EvSocket::connect(round.loop, acceptor->local_address(), 1s);
            if (!socket) {
                (void)this_evthread::delay(2ms);
                return;
            }
            if (dice.one_in(20)) (void)parking.close_oldest();
            if (dice.one_in(200)) parking.close_parked();
            if (dice.one_in(200)) parking.cancel_active();
            if (dice.one_in(4)) return misbehave(*socket, dice);
            for (std::size_t n = 1 + dice.below(10); n > 0 && converse(*socket, dice); --n) {
                count();
                if (dice.one_in(8)) (void)this_evthread::delay(dice.up_to(350ms));  // parked; or too late
            }
        });
        acceptor->close();
        parking.drain();
        wait_for("parked connections", [&] { return parking.size() == 0; });
        if (guests != 0) complain("a guest is neither parked nor gone");
    }
};

}  // namespace

std::unique_ptr<Feature> parking() { return std::make_unique<Parking>(); }

}  // namespace soak
