// Both ends of an echo: servers and clients that other features share, good ones and bad ones.
#pragma once

#include "evcorothread/ev_socket.h"
#include "nutils/byte_stream.h"
#include "test/soak/soak.h"

namespace soak {

// Says what it hears, until the peer ends or says nothing for a while.
void echo(nutils::ByteStream& stream);

// Says something, in pieces, and must hear it again. False: the connection broke, or took too long.
bool converse(nutils::ByteStream& stream, Dice& dice);

// What a client does that nobody likes: resets, silence, floods, half an end, dribbling.
void misbehave(evcorothread::EvSocket& socket, Dice& dice);

// Counts those inside.
class Here {
  public:
    explicit Here(std::size_t& count) : count_(count) { ++count_; }
    Here(const Here&) = delete;
    Here& operator=(const Here&) = delete;
    ~Here() { --count_; }

  private:
    std::size_t& count_;
};

}  // namespace soak
