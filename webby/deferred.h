// Deferred: a response that is completed after its servlet has returned.
#pragma once

#include <utility>

#include "cutils/export.h"
#include "webby/response.h"

namespace webby {

class DeferredState;

// From Response::defer(). Whoever holds it fills response(), then says complete():
//
//   server.get("/later", [&](webby::Request&, webby::Response& response) {
//       queue.ask([answer = response.defer()](std::string text) mutable {   // called when there is a result
//           answer.response().text(text);
//           answer.complete();
//       });
//   });
//
// In the event paradigm that is how a servlet waits for anything. Nothing of the connection but its memory is
// held meanwhile: no stack, and no thread. Filters see the response when it is complete.
//
// Owner:  anybody; copies are the same response. When the last one goes without complete(), the client gets a
//         500. It may outlive the connection and the server.
// Thread: any, one at a time; complete() hands the response over.
// Cost:   an allocation, and a post to the loop.
class EVC_API Deferred {
  public:
    Deferred() = default;
    Deferred(const Deferred& other) noexcept;
    Deferred(Deferred&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    Deferred& operator=(Deferred other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~Deferred();

    // What will be sent: begins as it was when the servlet called defer(). Before: not complete() yet.
    [[nodiscard]] Response& response() const;

    // Sends it. Only the first call does anything.
    void complete();

    // False when nobody waits for it any more: it is complete, its deadline has passed, or its connection has
    // gone. A client that leaves meanwhile is not noticed before something is sent to it, other than with
    // Response::stream(): see client_gone().
    [[nodiscard]] bool wanted() const;

    // As Request::client_gone(): the client has closed the connection, or its half of it, or has been cut
    // off; who works long for the answer may stop, and let go of it or complete it. Some clients close their
    // half and read the answer all the same. False as soon as it is complete. Any thread. Cost: a poll(2).
    [[nodiscard]] bool client_gone() const;

  private:
    friend class Response;
    friend class DeferredState;
    explicit Deferred(DeferredState& state) noexcept : state_(&state) {}  // takes a reference over

    DeferredState* state_ = nullptr;
};

}  // namespace webby
