// Connections that are carried on: a server of callbacks, in front of it a proxy that finds it by name.
#include <array>
#include <functional>

#include "evcorothread/copy_stream.h"
#include "evcorothread/ev_connect.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_watch.h"
#include "evcorothread/offload.h"
#include "evcorothread/resolver.h"
#include "test/soak/peers.h"

namespace soak {
namespace {

using namespace evcorothread;
using nutils::SockAddr;

// Echo without a coroutine. What the kernel does not take waits; meanwhile nothing is read.
class CallbackEcho {
  public:
    CallbackEcho(EvLoop& loop, nutils::UniqueFd fd, std::size_t& alive)
        : here_(alive),
          watch_(loop, std::move(fd),
                 {.readable = [this] { go_on(); },
                  .writable = [this] { go_on(); },
                  .expired = [this] { delete this; }}) {}
    CallbackEcho(const CallbackEcho&) = delete;
    CallbackEcho& operator=(const CallbackEcho&) = delete;
    void start() {
        watch_.expire(400ms);
        if (watch_.start()) delete this;
    }

  private:
    void go_on() {
        for (;;) {
            while (!unsent_.empty()) {
                const auto sent = watch_.try_send(unsent_);
                unsent_.erase(0, sent.bytes);
                if (sent.would_block()) return watch_.expire(400ms);
                if (sent.error) return delete this;
            }
            std::array<char, 4096> buffer;
            const auto got = watch_.try_recv(buffer);
            if (got.would_block()) return watch_.expire(400ms);
            if (got.error) return delete this;
            unsent_.assign(buffer.data(), got.bytes);
        }
    }

    Here here_;
    EvWatch watch_;
    std::string unsent_;
};

class Relays final : public Feature {
  public:
    Relays() : Feature("relays") {}

    void run(Round& round) override {
        std::size_t echoing = 0, relaying = 0;
        OffloadPool helpers({.threads = 1, .idle = 200ms});
        Resolver names(helpers, {.max_names = 4});
        auto behind = EvTcpAcceptor::listen_raw(
            round.loop, SockAddr::loopback(0), [&](nutils::UniqueFd fd, const SockAddr&) {
                (new CallbackEcho(round.loop, std::move(fd), echoing))->start();
            });
        if (!behind) return complain("a server of callbacks cannot listen");
        const SockAddr upstream = behind->local_address();
        auto front = EvTcpAcceptor::listen(round.loop, SockAddr::loopback(0),
                                           [&, dice = Dice(round.dice.seed())](EvSocket client) mutable {
                                               const Here here(relaying);
                                               Dice mine(dice.seed());
                                               carry(round.loop, names, client, upstream, mine);
                                           });
        if (!front) return complain("a proxy cannot listen");
        crowd(round, "relay client", 12, [&](Dice& dice) {
            auto socket = EvSocket::connect(round.loop, front->local_address(), 1s);
            if (!socket) {
                (void)this_evthread::delay(2ms);
                return;
            }
            if (dice.one_in(4)) return misbehave(*socket, dice);
            for (std::size_t n = 1 + dice.below(10); n > 0 && converse(*socket, dice); --n) count();
        });
        front->close();
        wait_for("relays", [&] { return relaying == 0; });
        behind->close();
        wait_for("echo by callbacks", [&] { return echoing == 0; });
        helpers.close();
    }

  private:
    static void carry(EvLoop& loop, Resolver& names, EvSocket& client, const SockAddr& upstream, Dice& dice) {
        auto server = reach(loop, names, upstream, dice);
        if (!server) return;
        if (dice.one_in(2)) {
            (void)relay(client, *server, 1s);
        } else {
            nutils::ByteStream &a = client, &b = *server;
            (void)relay(a, b, 1s);
        }
    }

    static cutils::Result<EvSocket> reach(EvLoop& loop, Resolver& names, const SockAddr& upstream,
                                          Dice& dice) {
        HappyEyeballsOptions options{.attempt_delay = std::chrono::milliseconds(1 + dice.below(20))};
        switch (dice.below(3)) {
            case 0:
                options.families = Families::ipv4_only;
                return connect(loop, names, "localhost", upstream.port(), options, 1s);
            case 1: {
                // Nobody listens at the first two.
                const std::array addresses{SockAddr::loopback(1), SockAddr::parse("[::1]:1").value(),
                                           upstream};
                return connect_any(loop, addresses, options, 1s);
            }
            default: return EvSocket::connect(loop, upstream, 1s);
        }
    }
};

}  // namespace

std::unique_ptr<Feature> relays() { return std::make_unique<Relays>(); }

}  // namespace soak
