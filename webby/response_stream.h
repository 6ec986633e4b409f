// ResponseStream: a response's body, written from anywhere, by those who cannot wait.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/export.h"
#include "webby/response.h"

namespace webby {

class StreamState;

// From Response::stream(). Whoever holds it writes; the connection sends as fast as its client takes it:
//
//   server.get("/ticks", [&](Request&, Response& response) {
//       response.add_header("Content-Type", "text/plain");
//       clock.each_second([stream = response.stream()]() mutable { return stream.write("tick\n"); });
//   });
//
// Works in all paradigms. While nothing comes, nothing but memory is held for it: no stack, and no thread.
// When the server stops, a text/event-stream ends, since its clients come back; any other stream has until
// ServerOptions::drain is over, and then is cut, so that nobody takes the part for the whole.
//
// Owner:  anybody; copies are the same stream. The last one to go ends the body. It may outlive the
//         connection and the server.
// Thread: any, several at a time.
// Cost:   what waits to be sent, and a wake-up of the connection when it had nothing to do.
class EVC_API ResponseStream {
  public:
    ResponseStream() = default;
    ResponseStream(const ResponseStream& other) noexcept;
    ResponseStream(ResponseStream&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    ResponseStream& operator=(ResponseStream other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~ResponseStream();

    // Puts the piece, whole, behind what waits. Never waits.
    // Errors: false, nothing of it taken: nobody listens any more, the body has ended, or so much waits
    //         already (Response::stream) that the client is too slow for it: wait, leave pieces out, or
    //         cut().
    bool write(std::string_view piece) { return write(std::make_shared<const std::string>(piece)); }
    // The same for a piece that many streams send: it is not copied.
    bool write(std::shared_ptr<const std::string> piece);

    // What the client gets when nothing else has come for about 15 seconds, so that nobody in between takes
    // the connection for dead. Default: nothing.
    void keep_alive_with(std::string piece);

    // The body is complete, when all of it is sent. Idempotent.
    void end();
    // The connection is cut: the client knows that this was not all. Nothing that waits is sent.
    void cut();

    // False when nobody listens any more. A client that goes while nothing is sent is noticed at once.
    [[nodiscard]] bool wanted() const;
    // Bytes that wait.
    [[nodiscard]] std::size_t waiting() const;

  private:
    friend class Response;
    explicit ResponseStream(StreamState& state) noexcept : state_(&state) {}  // takes a handle over
    StreamState* state_ = nullptr;
};

}  // namespace webby
