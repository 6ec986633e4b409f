#include "test/soak/peers.h"

#include <algorithm>

#include "evcorothread/ev_thread.h"
#include "nutils/socket_options.h"

namespace soak {

using evcorothread::EvSocket;
using nutils::ByteStream;
using nutils::IoResult;
namespace this_evthread = evcorothread::this_evthread;

void echo(ByteStream& stream) {
    char buffer[8192];
    for (;;) {
        const IoResult got = stream.recv(buffer, 300ms);
        if (!got) return;
        if (!stream.send_all({buffer, got.bytes}, 300ms)) return;
    }
}

bool converse(ByteStream& stream, Dice& dice) {
    const std::string text = dice.bytes(dice.one_in(10) ? 100'000 : 4000);
    // More than the buffers hold would wait for ourselves.
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t piece = std::min<std::size_t>(1 + dice.below(16'000), text.size() - from);
        if (!stream.send_all(std::string_view(text).substr(from, piece), 2s)) return false;
        if (dice.one_in(20)) (void)this_evthread::delay(dice.up_to(3ms));
        std::string back(piece, '\0');
        if (!stream.recv_exact(back, 2s)) return false;
        if (text.compare(from, piece, back) != 0) complain("an echo was something else");
        from += piece;
    }
    return true;
}

void misbehave(EvSocket& socket, Dice& dice) {
    switch (dice.below(5)) {
        case 0:  // a reset, with bytes on their way
            (void)socket.try_send(dice.bytes(9000));
            (void)nutils::set_reset_on_close(socket.fd(), true);
            return;
        case 1:  // says nothing
            (void)this_evthread::delay(dice.up_to(400ms));
            return;
        case 2:  // says much, and listens to nothing
            for (int i = 0; i < 50; ++i)
                if (!socket.send(dice.bytes(60'000), 20ms)) return;
            return;
        case 3: {  // is done at once, and waits for the end
            (void)socket.try_send("x");
            (void)socket.shutdown_send();
            char buffer[100];
            while (socket.recv(buffer, 500ms)) {
            }
            return;
        }
        default:  // dribbles
            for (int i = 0; i < 30; ++i) {
                if (!socket.send("y", 10ms)) return;
                (void)this_evthread::delay(dice.up_to(2ms));
            }
    }
}

}  // namespace soak
